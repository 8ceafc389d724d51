-- The rest of the employee model. What was there gets columns, and what it lacked gets tables.
-- SQLite adds no reference of two columns to a table that is there, so triggers keep those, in the words of a reference that is broken.

-- The companies that employ people.
CREATE TABLE legal_entities (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    country text,
    currency text CONSTRAINT legal_entities_currency_check CHECK (length(currency) = 3),
    registration_number text,
    active integer NOT NULL DEFAULT 1,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT legal_entities_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT legal_entities_code_key UNIQUE (tenant_id, code),
    CONSTRAINT legal_entities_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT;

-- Where people work.
CREATE TABLE locations (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    country text,
    timezone text,
    address text,
    active integer NOT NULL DEFAULT 1,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT locations_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT locations_code_key UNIQUE (tenant_id, code),
    CONSTRAINT locations_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT;

-- What there is to be done.
CREATE TABLE positions (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    code text NOT NULL,
    title text NOT NULL,
    level text,
    department_id text,
    active integer NOT NULL DEFAULT 1,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT positions_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT positions_code_key UNIQUE (tenant_id, code),
    CONSTRAINT positions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    CONSTRAINT positions_department_id_fkey FOREIGN KEY (tenant_id, department_id) REFERENCES departments (tenant_id, id)
) STRICT;

CREATE INDEX positions_department_id_idx ON positions (tenant_id, department_id);

ALTER TABLE employees ADD COLUMN honorific text;
ALTER TABLE employees ADD COLUMN avatar_object_id text;
ALTER TABLE employees ADD COLUMN locale text;
ALTER TABLE employees ADD COLUMN timezone text;
ALTER TABLE employees ADD COLUMN legal_entity_id text;
ALTER TABLE employees ADD COLUMN position_id text;
ALTER TABLE employees ADD COLUMN location_id text;
ALTER TABLE employees ADD COLUMN probation_ends_on text;
ALTER TABLE employees ADD COLUMN contract_ends_on text;
CREATE INDEX employees_legal_entity_id_idx ON employees (tenant_id, legal_entity_id);
CREATE TRIGGER employees_legal_entity_id_fkey_insert BEFORE INSERT ON employees
    WHEN NEW.legal_entity_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM legal_entities WHERE tenant_id = NEW.tenant_id AND id = NEW.legal_entity_id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE TRIGGER employees_legal_entity_id_fkey_update BEFORE UPDATE OF legal_entity_id ON employees
    WHEN NEW.legal_entity_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM legal_entities WHERE tenant_id = NEW.tenant_id AND id = NEW.legal_entity_id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE TRIGGER employees_legal_entity_id_fkey_delete BEFORE DELETE ON legal_entities
    WHEN EXISTS (SELECT 1 FROM employees WHERE tenant_id = OLD.tenant_id AND legal_entity_id = OLD.id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE INDEX employees_position_id_idx ON employees (tenant_id, position_id);
CREATE TRIGGER employees_position_id_fkey_insert BEFORE INSERT ON employees
    WHEN NEW.position_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM positions WHERE tenant_id = NEW.tenant_id AND id = NEW.position_id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE TRIGGER employees_position_id_fkey_update BEFORE UPDATE OF position_id ON employees
    WHEN NEW.position_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM positions WHERE tenant_id = NEW.tenant_id AND id = NEW.position_id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE TRIGGER employees_position_id_fkey_delete BEFORE DELETE ON positions
    WHEN EXISTS (SELECT 1 FROM employees WHERE tenant_id = OLD.tenant_id AND position_id = OLD.id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE INDEX employees_location_id_idx ON employees (tenant_id, location_id);
CREATE TRIGGER employees_location_id_fkey_insert BEFORE INSERT ON employees
    WHEN NEW.location_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM locations WHERE tenant_id = NEW.tenant_id AND id = NEW.location_id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE TRIGGER employees_location_id_fkey_update BEFORE UPDATE OF location_id ON employees
    WHEN NEW.location_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM locations WHERE tenant_id = NEW.tenant_id AND id = NEW.location_id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE TRIGGER employees_location_id_fkey_delete BEFORE DELETE ON locations
    WHEN EXISTS (SELECT 1 FROM employees WHERE tenant_id = OLD.tenant_id AND location_id = OLD.id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;

ALTER TABLE job_assignments ADD COLUMN position_id text;
ALTER TABLE job_assignments ADD COLUMN location_id text;
CREATE INDEX job_assignments_position_id_idx ON job_assignments (tenant_id, position_id);
CREATE TRIGGER job_assignments_position_id_fkey_insert BEFORE INSERT ON job_assignments
    WHEN NEW.position_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM positions WHERE tenant_id = NEW.tenant_id AND id = NEW.position_id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE TRIGGER job_assignments_position_id_fkey_update BEFORE UPDATE OF position_id ON job_assignments
    WHEN NEW.position_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM positions WHERE tenant_id = NEW.tenant_id AND id = NEW.position_id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE TRIGGER job_assignments_position_id_fkey_delete BEFORE DELETE ON positions
    WHEN EXISTS (SELECT 1 FROM job_assignments WHERE tenant_id = OLD.tenant_id AND position_id = OLD.id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE INDEX job_assignments_location_id_idx ON job_assignments (tenant_id, location_id);
CREATE TRIGGER job_assignments_location_id_fkey_insert BEFORE INSERT ON job_assignments
    WHEN NEW.location_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM locations WHERE tenant_id = NEW.tenant_id AND id = NEW.location_id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE TRIGGER job_assignments_location_id_fkey_update BEFORE UPDATE OF location_id ON job_assignments
    WHEN NEW.location_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM locations WHERE tenant_id = NEW.tenant_id AND id = NEW.location_id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE TRIGGER job_assignments_location_id_fkey_delete BEFORE DELETE ON locations
    WHEN EXISTS (SELECT 1 FROM job_assignments WHERE tenant_id = OLD.tenant_id AND location_id = OLD.id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;

ALTER TABLE employee_private ADD COLUMN pronouns text;
ALTER TABLE employee_private ADD COLUMN nationality text;
ALTER TABLE employee_private ADD COLUMN marital_status text;
ALTER TABLE employee_private ADD COLUMN emergency_contacts text;
ALTER TABLE employee_private ADD COLUMN dependents text;
ALTER TABLE employee_private ADD COLUMN termination_reason text;

-- Numbers by which states know a person.
CREATE TABLE employee_identity (
    tenant_id integer NOT NULL,
    employee_id text NOT NULL,
    country text,
    -- Masked here; sealed, and as a keyed hash to be found by, beside it.
    national_id text,
    national_id_sealed text,
    national_id_hash text,
    tax_id text,
    tax_id_sealed text,
    tax_id_hash text,
    passport_number text,
    passport_number_sealed text,
    passport_number_hash text,
    passport_expires_on text,
    work_permit_number text,
    work_permit_number_sealed text,
    work_permit_number_hash text,
    work_permit_expires_on text,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT employee_identity_pkey PRIMARY KEY (tenant_id, employee_id),
    CONSTRAINT employee_identity_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX employee_identity_national_id_hash_idx ON employee_identity (tenant_id, national_id_hash);
CREATE INDEX employee_identity_tax_id_hash_idx ON employee_identity (tenant_id, tax_id_hash);
CREATE INDEX employee_identity_passport_number_hash_idx ON employee_identity (tenant_id, passport_number_hash);
CREATE INDEX employee_identity_work_permit_number_hash_idx ON employee_identity (tenant_id, work_permit_number_hash);

-- Where pay goes.
CREATE TABLE employee_bank_accounts (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    employee_id text NOT NULL,
    country text,
    bank_name text,
    bic text,
    holder text,
    currency text CONSTRAINT employee_bank_accounts_currency_check CHECK (length(currency) = 3),
    -- Masked here; sealed, and as a keyed hash to be found by, beside it.
    account_number text,
    account_number_sealed text,
    account_number_hash text,
    iban text,
    iban_sealed text,
    iban_hash text,
    split_permille integer NOT NULL DEFAULT 1000
        CONSTRAINT employee_bank_accounts_split_permille_check CHECK (split_permille BETWEEN 0 AND 1000),
    valid_from text,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT employee_bank_accounts_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT employee_bank_accounts_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX employee_bank_accounts_employee_id_idx ON employee_bank_accounts (tenant_id, employee_id);
CREATE INDEX employee_bank_accounts_account_number_hash_idx ON employee_bank_accounts (tenant_id, account_number_hash);
CREATE INDEX employee_bank_accounts_iban_hash_idx ON employee_bank_accounts (tenant_id, iban_hash);

-- What the law protects most. It is open only where the tenant says so.
CREATE TABLE employee_special (
    tenant_id integer NOT NULL,
    employee_id text NOT NULL,
    ethnicity text,
    disability text,
    health text,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT employee_special_pkey PRIMARY KEY (tenant_id, employee_id),
    CONSTRAINT employee_special_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE identity_changes (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    table_name text NOT NULL,
    row_id text NOT NULL,
    action text NOT NULL,
    changed_at text NOT NULL,
    -- What asked for it, which one, and in which request.
    actor text NOT NULL,
    actor_id text,
    request_id text,
    -- By column: the value before and after, or why it was shown.
    changes text NOT NULL,
    CONSTRAINT identity_changes_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT identity_changes_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT;

CREATE INDEX identity_changes_row_id_idx ON identity_changes (tenant_id, table_name, row_id, id);

CREATE TABLE special_changes (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    table_name text NOT NULL,
    row_id text NOT NULL,
    action text NOT NULL,
    changed_at text NOT NULL,
    -- What asked for it, which one, and in which request.
    actor text NOT NULL,
    actor_id text,
    request_id text,
    -- By column: the value before and after, or why it was shown.
    changes text NOT NULL,
    CONSTRAINT special_changes_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT special_changes_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT;

CREATE INDEX special_changes_row_id_idx ON special_changes (tenant_id, table_name, row_id, id);

-- What pay is made of.
CREATE TABLE salary_components (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL
        CONSTRAINT salary_components_kind_check CHECK (kind IN ('earning', 'deduction', 'employer_contribution', 'reimbursement', 'tax')),
    taxable integer NOT NULL DEFAULT 1,
    calc text NOT NULL DEFAULT 'fixed' CONSTRAINT salary_components_calc_check CHECK (calc IN ('fixed', 'percent', 'formula')),
    formula text,
    rounding text NOT NULL DEFAULT 'half_up'
        CONSTRAINT salary_components_rounding_check CHECK (rounding IN ('half_up', 'half_even', 'up', 'down')),
    gl_code text,
    active integer NOT NULL DEFAULT 1,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT salary_components_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT salary_components_code_key UNIQUE (tenant_id, code),
    CONSTRAINT salary_components_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT;

-- The user who approved it.
ALTER TABLE compensations ADD COLUMN approved_by text;

-- What is paid beside the base, or kept from it.
CREATE TABLE compensation_items (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    compensation_id text NOT NULL,
    component_id text NOT NULL,
    amount_minor integer,
    -- Of the base, in millionths.
    rate_ppm integer,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT compensation_items_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT compensation_items_compensation_id_component_id_key UNIQUE (tenant_id, compensation_id, component_id),
    CONSTRAINT compensation_items_amount_minor_check CHECK ((amount_minor IS NULL) <> (rate_ppm IS NULL)),
    CONSTRAINT compensation_items_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    CONSTRAINT compensation_items_compensation_id_fkey FOREIGN KEY (tenant_id, compensation_id) REFERENCES compensations (tenant_id, id),
    CONSTRAINT compensation_items_component_id_fkey FOREIGN KEY (tenant_id, component_id) REFERENCES salary_components (tenant_id, id)
) STRICT;

CREATE INDEX compensation_items_component_id_idx ON compensation_items (tenant_id, component_id);

ALTER TABLE payroll_runs ADD COLUMN legal_entity_id text;
ALTER TABLE payroll_runs ADD COLUMN inputs_hash text;
ALTER TABLE payroll_runs ADD COLUMN engine_version text;
-- The user who approved it, and when: kept by the server.
ALTER TABLE payroll_runs ADD COLUMN approved_by text;
ALTER TABLE payroll_runs ADD COLUMN approved_at text;
CREATE INDEX payroll_runs_legal_entity_id_idx ON payroll_runs (tenant_id, legal_entity_id);
CREATE TRIGGER payroll_runs_legal_entity_id_fkey_insert BEFORE INSERT ON payroll_runs
    WHEN NEW.legal_entity_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM legal_entities WHERE tenant_id = NEW.tenant_id AND id = NEW.legal_entity_id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE TRIGGER payroll_runs_legal_entity_id_fkey_update BEFORE UPDATE OF legal_entity_id ON payroll_runs
    WHEN NEW.legal_entity_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM legal_entities WHERE tenant_id = NEW.tenant_id AND id = NEW.legal_entity_id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;
CREATE TRIGGER payroll_runs_legal_entity_id_fkey_delete BEFORE DELETE ON legal_entities
    WHEN EXISTS (SELECT 1 FROM payroll_runs WHERE tenant_id = OLD.tenant_id AND legal_entity_id = OLD.id)
    BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed'); END;

-- What is paid or kept once, or for a while.
CREATE TABLE pay_adjustments (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    employee_id text NOT NULL,
    component_id text NOT NULL,
    amount_minor integer NOT NULL,
    currency text NOT NULL CONSTRAINT pay_adjustments_currency_check CHECK (length(currency) = 3),
    recurring integer NOT NULL DEFAULT 0,
    period_start text NOT NULL,
    -- The last day; nothing while it goes on, or for what is paid once.
    period_end text,
    -- The run that paid what is paid once.
    run_id text,
    reason text,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT pay_adjustments_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT pay_adjustments_period_end_check CHECK (period_end >= period_start),
    CONSTRAINT pay_adjustments_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id),
    CONSTRAINT pay_adjustments_component_id_fkey FOREIGN KEY (tenant_id, component_id) REFERENCES salary_components (tenant_id, id),
    CONSTRAINT pay_adjustments_run_id_fkey FOREIGN KEY (tenant_id, run_id) REFERENCES payroll_runs (tenant_id, id)
) STRICT;

CREATE INDEX pay_adjustments_employee_id_idx ON pay_adjustments (tenant_id, employee_id, period_start);
CREATE INDEX pay_adjustments_component_id_idx ON pay_adjustments (tenant_id, component_id);
CREATE INDEX pay_adjustments_run_id_idx ON pay_adjustments (tenant_id, run_id);

ALTER TABLE payslips ADD COLUMN employer_cost_minor integer NOT NULL DEFAULT 0;
ALTER TABLE payslips ADD COLUMN worked_minutes integer CONSTRAINT payslips_worked_minutes_check CHECK (worked_minutes >= 0);
ALTER TABLE payslips ADD COLUMN ytd text NOT NULL DEFAULT '{}';

-- What a slip is made of, as it was when the slip was made.
CREATE TABLE payslip_lines (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    payslip_id text NOT NULL,
    seq integer NOT NULL,
    component_id text,
    component_code text NOT NULL,
    component_name text NOT NULL,
    kind text NOT NULL
        CONSTRAINT payslip_lines_kind_check CHECK (kind IN ('earning', 'deduction', 'employer_contribution', 'reimbursement', 'tax')),
    -- In ten-thousandths, as is the rate.
    quantity_e4 integer,
    rate_e4 integer,
    amount_minor integer NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT payslip_lines_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT payslip_lines_payslip_id_seq_key UNIQUE (tenant_id, payslip_id, seq),
    CONSTRAINT payslip_lines_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    CONSTRAINT payslip_lines_payslip_id_fkey FOREIGN KEY (tenant_id, payslip_id) REFERENCES payslips (tenant_id, id),
    CONSTRAINT payslip_lines_component_id_fkey FOREIGN KEY (tenant_id, component_id) REFERENCES salary_components (tenant_id, id)
) STRICT;

CREATE INDEX payslip_lines_component_id_idx ON payslip_lines (tenant_id, component_id);
