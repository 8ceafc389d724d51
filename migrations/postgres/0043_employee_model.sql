-- The rest of the employee model. What was there gets columns, and what it lacked gets tables.

-- The companies that employ people.
CREATE TABLE legal_entities (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    code text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    country text COLLATE "C",
    currency text COLLATE "C" CONSTRAINT legal_entities_currency_check CHECK (length(currency) = 3),
    registration_number text COLLATE "C",
    active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT legal_entities_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT legal_entities_code_key UNIQUE (tenant_id, code),
    CONSTRAINT legal_entities_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

-- Where people work.
CREATE TABLE locations (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    code text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    country text COLLATE "C",
    timezone text COLLATE "C",
    address jsonb,
    active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT locations_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT locations_code_key UNIQUE (tenant_id, code),
    CONSTRAINT locations_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

-- What there is to be done.
CREATE TABLE positions (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    code text COLLATE "C" NOT NULL,
    title text COLLATE "C" NOT NULL,
    level text COLLATE "C",
    department_id uuid,
    active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT positions_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT positions_code_key UNIQUE (tenant_id, code),
    CONSTRAINT positions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    CONSTRAINT positions_department_id_fkey FOREIGN KEY (tenant_id, department_id) REFERENCES departments (tenant_id, id)
);

CREATE INDEX positions_department_id_idx ON positions (tenant_id, department_id);

ALTER TABLE employees ADD COLUMN honorific text COLLATE "C";
ALTER TABLE employees ADD COLUMN avatar_object_id uuid;
ALTER TABLE employees ADD COLUMN locale text COLLATE "C";
ALTER TABLE employees ADD COLUMN timezone text COLLATE "C";
ALTER TABLE employees ADD COLUMN legal_entity_id uuid;
ALTER TABLE employees ADD COLUMN position_id uuid;
ALTER TABLE employees ADD COLUMN location_id uuid;
ALTER TABLE employees ADD COLUMN probation_ends_on date;
ALTER TABLE employees ADD COLUMN contract_ends_on date;
ALTER TABLE employees ADD CONSTRAINT employees_legal_entity_id_fkey FOREIGN KEY (tenant_id, legal_entity_id) REFERENCES legal_entities (tenant_id, id);
CREATE INDEX employees_legal_entity_id_idx ON employees (tenant_id, legal_entity_id);
ALTER TABLE employees ADD CONSTRAINT employees_position_id_fkey FOREIGN KEY (tenant_id, position_id) REFERENCES positions (tenant_id, id);
CREATE INDEX employees_position_id_idx ON employees (tenant_id, position_id);
ALTER TABLE employees ADD CONSTRAINT employees_location_id_fkey FOREIGN KEY (tenant_id, location_id) REFERENCES locations (tenant_id, id);
CREATE INDEX employees_location_id_idx ON employees (tenant_id, location_id);

ALTER TABLE job_assignments ADD COLUMN position_id uuid;
ALTER TABLE job_assignments ADD COLUMN location_id uuid;
ALTER TABLE job_assignments ADD CONSTRAINT job_assignments_position_id_fkey FOREIGN KEY (tenant_id, position_id) REFERENCES positions (tenant_id, id);
CREATE INDEX job_assignments_position_id_idx ON job_assignments (tenant_id, position_id);
ALTER TABLE job_assignments ADD CONSTRAINT job_assignments_location_id_fkey FOREIGN KEY (tenant_id, location_id) REFERENCES locations (tenant_id, id);
CREATE INDEX job_assignments_location_id_idx ON job_assignments (tenant_id, location_id);

ALTER TABLE employee_private ADD COLUMN pronouns text COLLATE "C";
ALTER TABLE employee_private ADD COLUMN nationality text COLLATE "C";
ALTER TABLE employee_private ADD COLUMN marital_status text COLLATE "C";
ALTER TABLE employee_private ADD COLUMN emergency_contacts jsonb;
ALTER TABLE employee_private ADD COLUMN dependents jsonb;
ALTER TABLE employee_private ADD COLUMN termination_reason text COLLATE "C";

-- Numbers by which states know a person.
CREATE TABLE employee_identity (
    tenant_id bigint NOT NULL,
    employee_id uuid NOT NULL,
    country text COLLATE "C",
    -- Masked here; sealed, and as a keyed hash to be found by, beside it.
    national_id text COLLATE "C",
    national_id_sealed text COLLATE "C",
    national_id_hash text COLLATE "C",
    tax_id text COLLATE "C",
    tax_id_sealed text COLLATE "C",
    tax_id_hash text COLLATE "C",
    passport_number text COLLATE "C",
    passport_number_sealed text COLLATE "C",
    passport_number_hash text COLLATE "C",
    passport_expires_on date,
    work_permit_number text COLLATE "C",
    work_permit_number_sealed text COLLATE "C",
    work_permit_number_hash text COLLATE "C",
    work_permit_expires_on date,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT employee_identity_pkey PRIMARY KEY (tenant_id, employee_id),
    CONSTRAINT employee_identity_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX employee_identity_national_id_hash_idx ON employee_identity (tenant_id, national_id_hash);
CREATE INDEX employee_identity_tax_id_hash_idx ON employee_identity (tenant_id, tax_id_hash);
CREATE INDEX employee_identity_passport_number_hash_idx ON employee_identity (tenant_id, passport_number_hash);
CREATE INDEX employee_identity_work_permit_number_hash_idx ON employee_identity (tenant_id, work_permit_number_hash);

-- Where pay goes.
CREATE TABLE employee_bank_accounts (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    employee_id uuid NOT NULL,
    country text COLLATE "C",
    bank_name text COLLATE "C",
    bic text COLLATE "C",
    holder text COLLATE "C",
    currency text COLLATE "C" CONSTRAINT employee_bank_accounts_currency_check CHECK (length(currency) = 3),
    -- Masked here; sealed, and as a keyed hash to be found by, beside it.
    account_number text COLLATE "C",
    account_number_sealed text COLLATE "C",
    account_number_hash text COLLATE "C",
    iban text COLLATE "C",
    iban_sealed text COLLATE "C",
    iban_hash text COLLATE "C",
    split_permille bigint NOT NULL DEFAULT 1000
        CONSTRAINT employee_bank_accounts_split_permille_check CHECK (split_permille BETWEEN 0 AND 1000),
    valid_from date,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT employee_bank_accounts_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT employee_bank_accounts_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX employee_bank_accounts_employee_id_idx ON employee_bank_accounts (tenant_id, employee_id);
CREATE INDEX employee_bank_accounts_account_number_hash_idx ON employee_bank_accounts (tenant_id, account_number_hash);
CREATE INDEX employee_bank_accounts_iban_hash_idx ON employee_bank_accounts (tenant_id, iban_hash);

-- What the law protects most. It is open only where the tenant says so.
CREATE TABLE employee_special (
    tenant_id bigint NOT NULL,
    employee_id uuid NOT NULL,
    ethnicity text COLLATE "C",
    disability text COLLATE "C",
    health text COLLATE "C",
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT employee_special_pkey PRIMARY KEY (tenant_id, employee_id),
    CONSTRAINT employee_special_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE identity_changes (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    table_name text COLLATE "C" NOT NULL,
    row_id uuid NOT NULL,
    action text COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL,
    -- What asked for it, which one, and in which request.
    actor text COLLATE "C" NOT NULL,
    actor_id uuid,
    request_id text COLLATE "C",
    -- By column: the value before and after, or why it was shown.
    changes jsonb NOT NULL,
    CONSTRAINT identity_changes_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT identity_changes_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX identity_changes_row_id_idx ON identity_changes (tenant_id, table_name, row_id, id);

CREATE TABLE special_changes (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    table_name text COLLATE "C" NOT NULL,
    row_id uuid NOT NULL,
    action text COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL,
    -- What asked for it, which one, and in which request.
    actor text COLLATE "C" NOT NULL,
    actor_id uuid,
    request_id text COLLATE "C",
    -- By column: the value before and after, or why it was shown.
    changes jsonb NOT NULL,
    CONSTRAINT special_changes_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT special_changes_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX special_changes_row_id_idx ON special_changes (tenant_id, table_name, row_id, id);

-- What pay is made of.
CREATE TABLE salary_components (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    code text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL
        CONSTRAINT salary_components_kind_check CHECK (kind IN ('earning', 'deduction', 'employer_contribution', 'reimbursement', 'tax')),
    taxable boolean NOT NULL DEFAULT true,
    calc text COLLATE "C" NOT NULL DEFAULT 'fixed'
        CONSTRAINT salary_components_calc_check CHECK (calc IN ('fixed', 'percent', 'formula')),
    formula text COLLATE "C",
    rounding text COLLATE "C" NOT NULL DEFAULT 'half_up'
        CONSTRAINT salary_components_rounding_check CHECK (rounding IN ('half_up', 'half_even', 'up', 'down')),
    gl_code text COLLATE "C",
    active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT salary_components_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT salary_components_code_key UNIQUE (tenant_id, code),
    CONSTRAINT salary_components_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

-- The user who approved it.
ALTER TABLE compensations ADD COLUMN approved_by uuid;

-- What is paid beside the base, or kept from it.
CREATE TABLE compensation_items (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    compensation_id uuid NOT NULL,
    component_id uuid NOT NULL,
    amount_minor bigint,
    -- Of the base, in millionths.
    rate_ppm bigint,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT compensation_items_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT compensation_items_compensation_id_component_id_key UNIQUE (tenant_id, compensation_id, component_id),
    CONSTRAINT compensation_items_amount_minor_check CHECK ((amount_minor IS NULL) <> (rate_ppm IS NULL)),
    CONSTRAINT compensation_items_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    CONSTRAINT compensation_items_compensation_id_fkey FOREIGN KEY (tenant_id, compensation_id) REFERENCES compensations (tenant_id, id),
    CONSTRAINT compensation_items_component_id_fkey FOREIGN KEY (tenant_id, component_id) REFERENCES salary_components (tenant_id, id)
);

CREATE INDEX compensation_items_component_id_idx ON compensation_items (tenant_id, component_id);

ALTER TABLE payroll_runs ADD COLUMN legal_entity_id uuid;
ALTER TABLE payroll_runs ADD COLUMN inputs_hash text COLLATE "C";
ALTER TABLE payroll_runs ADD COLUMN engine_version text COLLATE "C";
-- The user who approved it, and when: kept by the server.
ALTER TABLE payroll_runs ADD COLUMN approved_by uuid;
ALTER TABLE payroll_runs ADD COLUMN approved_at timestamptz;
ALTER TABLE payroll_runs ADD CONSTRAINT payroll_runs_legal_entity_id_fkey FOREIGN KEY (tenant_id, legal_entity_id) REFERENCES legal_entities (tenant_id, id);
CREATE INDEX payroll_runs_legal_entity_id_idx ON payroll_runs (tenant_id, legal_entity_id);

-- What is paid or kept once, or for a while.
CREATE TABLE pay_adjustments (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    employee_id uuid NOT NULL,
    component_id uuid NOT NULL,
    amount_minor bigint NOT NULL,
    currency text COLLATE "C" NOT NULL CONSTRAINT pay_adjustments_currency_check CHECK (length(currency) = 3),
    recurring boolean NOT NULL DEFAULT false,
    period_start date NOT NULL,
    -- The last day; nothing while it goes on, or for what is paid once.
    period_end date,
    -- The run that paid what is paid once.
    run_id uuid,
    reason text COLLATE "C",
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT pay_adjustments_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT pay_adjustments_period_end_check CHECK (period_end >= period_start),
    CONSTRAINT pay_adjustments_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id),
    CONSTRAINT pay_adjustments_component_id_fkey FOREIGN KEY (tenant_id, component_id) REFERENCES salary_components (tenant_id, id),
    CONSTRAINT pay_adjustments_run_id_fkey FOREIGN KEY (tenant_id, run_id) REFERENCES payroll_runs (tenant_id, id)
);

CREATE INDEX pay_adjustments_employee_id_idx ON pay_adjustments (tenant_id, employee_id, period_start);
CREATE INDEX pay_adjustments_component_id_idx ON pay_adjustments (tenant_id, component_id);
CREATE INDEX pay_adjustments_run_id_idx ON pay_adjustments (tenant_id, run_id);

ALTER TABLE payslips ADD COLUMN employer_cost_minor bigint NOT NULL DEFAULT 0;
ALTER TABLE payslips ADD COLUMN worked_minutes bigint CONSTRAINT payslips_worked_minutes_check CHECK (worked_minutes >= 0);
ALTER TABLE payslips ADD COLUMN ytd jsonb NOT NULL DEFAULT '{}';

-- What a slip is made of, as it was when the slip was made.
CREATE TABLE payslip_lines (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    payslip_id uuid NOT NULL,
    seq bigint NOT NULL,
    component_id uuid,
    component_code text COLLATE "C" NOT NULL,
    component_name text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL
        CONSTRAINT payslip_lines_kind_check CHECK (kind IN ('earning', 'deduction', 'employer_contribution', 'reimbursement', 'tax')),
    -- In ten-thousandths, as is the rate.
    quantity_e4 bigint,
    rate_e4 bigint,
    amount_minor bigint NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT payslip_lines_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT payslip_lines_payslip_id_seq_key UNIQUE (tenant_id, payslip_id, seq),
    CONSTRAINT payslip_lines_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    CONSTRAINT payslip_lines_payslip_id_fkey FOREIGN KEY (tenant_id, payslip_id) REFERENCES payslips (tenant_id, id),
    CONSTRAINT payslip_lines_component_id_fkey FOREIGN KEY (tenant_id, component_id) REFERENCES salary_components (tenant_id, id)
);

CREATE INDEX payslip_lines_component_id_idx ON payslip_lines (tenant_id, component_id);
