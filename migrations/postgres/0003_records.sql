-- Employees and what belongs to them. The catalog in src/records/catalog.rs describes the same tables to the planner.
-- Text compares by code point, as on SQLite, whatever the collation of the database.

CREATE TABLE departments (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    code text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    parent_id uuid,
    head_employee_id uuid,
    cost_center text COLLATE "C",
    active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT departments_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT departments_code_key UNIQUE (tenant_id, code),
    CONSTRAINT departments_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    CONSTRAINT departments_parent_id_fkey FOREIGN KEY (tenant_id, parent_id) REFERENCES departments (tenant_id, id)
);

CREATE INDEX departments_parent_id_idx ON departments (tenant_id, parent_id);
CREATE INDEX departments_head_employee_id_idx ON departments (tenant_id, head_employee_id);

CREATE TABLE employees (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    employee_number text COLLATE "C" NOT NULL,
    -- The user who is this employee, if one has been linked.
    user_id uuid,
    -- The id in the system the record came from.
    external_id text COLLATE "C",
    given_name text COLLATE "C",
    family_name text COLLATE "C",
    middle_name text COLLATE "C",
    preferred_name text COLLATE "C",
    display_name text COLLATE "C" NOT NULL,
    name_phonetic text COLLATE "C",
    name_sort text COLLATE "C" NOT NULL,
    work_email text COLLATE "C",
    work_phone text COLLATE "C",
    status text COLLATE "C" NOT NULL DEFAULT 'active'
        CONSTRAINT employees_status_check CHECK (status IN ('pending', 'active', 'leave', 'suspended', 'terminated')),
    employment_type text COLLATE "C" NOT NULL DEFAULT 'full_time'
        CONSTRAINT employees_employment_type_check CHECK (employment_type IN ('full_time', 'part_time', 'contractor', 'intern', 'temporary')),
    department_id uuid,
    job_title text COLLATE "C",
    manager_id uuid,
    cost_center text COLLATE "C",
    hired_on date,
    terminated_on date,
    custom jsonb NOT NULL DEFAULT '{}',
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT employees_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT employees_employee_number_key UNIQUE (tenant_id, employee_number),
    CONSTRAINT employees_user_id_key UNIQUE (tenant_id, user_id),
    CONSTRAINT employees_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT employees_work_email_key UNIQUE (tenant_id, work_email),
    CONSTRAINT employees_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    CONSTRAINT employees_department_id_fkey FOREIGN KEY (tenant_id, department_id) REFERENCES departments (tenant_id, id),
    CONSTRAINT employees_manager_id_fkey FOREIGN KEY (tenant_id, manager_id) REFERENCES employees (tenant_id, id)
);

-- The two tables name each other; this half can only be said once both are there.
ALTER TABLE departments ADD CONSTRAINT departments_head_employee_id_fkey
    FOREIGN KEY (tenant_id, head_employee_id) REFERENCES employees (tenant_id, id);

CREATE INDEX employees_department_id_idx ON employees (tenant_id, department_id);
CREATE INDEX employees_manager_id_idx ON employees (tenant_id, manager_id);
CREATE INDEX employees_name_sort_idx ON employees (tenant_id, name_sort, id);
CREATE INDEX employees_hired_on_idx ON employees (tenant_id, hired_on, id);

-- What concerns the person and not the job: a table of its own, so that no query of employees can touch it.
CREATE TABLE employee_private (
    tenant_id bigint NOT NULL,
    employee_id uuid NOT NULL,
    date_of_birth date,
    gender text COLLATE "C",
    personal_email text COLLATE "C",
    mobile text COLLATE "C",
    home_address jsonb,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT employee_private_pkey PRIMARY KEY (tenant_id, employee_id),
    CONSTRAINT employee_private_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE job_assignments (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    employee_id uuid NOT NULL,
    effective_from date NOT NULL,
    -- Exclusive; NULL while in force.
    effective_to date,
    department_id uuid,
    job_title text COLLATE "C",
    manager_id uuid,
    fte_permille bigint NOT NULL DEFAULT 1000,
    change_reason text COLLATE "C",
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT job_assignments_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT job_assignments_effective_to_check CHECK (effective_to > effective_from),
    CONSTRAINT job_assignments_fte_permille_check CHECK (fte_permille BETWEEN 0 AND 1000),
    CONSTRAINT job_assignments_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id),
    CONSTRAINT job_assignments_department_id_fkey FOREIGN KEY (tenant_id, department_id) REFERENCES departments (tenant_id, id),
    CONSTRAINT job_assignments_manager_id_fkey FOREIGN KEY (tenant_id, manager_id) REFERENCES employees (tenant_id, id)
);

CREATE INDEX job_assignments_employee_id_idx ON job_assignments (tenant_id, employee_id, effective_from);
CREATE INDEX job_assignments_department_id_idx ON job_assignments (tenant_id, department_id, effective_from);
CREATE INDEX job_assignments_manager_id_idx ON job_assignments (tenant_id, manager_id);

CREATE TABLE compensations (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    employee_id uuid NOT NULL,
    effective_from date NOT NULL,
    -- Exclusive; NULL while in force.
    effective_to date,
    -- ISO 4217; base_minor counts its smallest unit.
    currency text COLLATE "C" NOT NULL CONSTRAINT compensations_currency_check CHECK (length(currency) = 3),
    pay_basis text COLLATE "C" NOT NULL CONSTRAINT compensations_pay_basis_check CHECK (pay_basis IN ('hour', 'day', 'month', 'year')),
    pay_frequency text COLLATE "C" NOT NULL DEFAULT 'monthly'
        CONSTRAINT compensations_pay_frequency_check CHECK (pay_frequency IN ('weekly', 'biweekly', 'semimonthly', 'monthly')),
    base_minor bigint NOT NULL CONSTRAINT compensations_base_minor_check CHECK (base_minor >= 0),
    reason text COLLATE "C",
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT compensations_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT compensations_employee_id_effective_from_key UNIQUE (tenant_id, employee_id, effective_from),
    CONSTRAINT compensations_effective_to_check CHECK (effective_to > effective_from),
    CONSTRAINT compensations_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id)
);

CREATE INDEX compensations_effective_from_idx ON compensations (tenant_id, effective_from, effective_to);

CREATE TABLE payroll_runs (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    type text COLLATE "C" NOT NULL DEFAULT 'regular'
        CONSTRAINT payroll_runs_type_check CHECK (type IN ('regular', 'off_cycle', 'correction', 'termination', 'bonus')),
    period_start date NOT NULL,
    -- Inclusive: the last day that is paid.
    period_end date NOT NULL,
    pay_date date,
    currency text COLLATE "C" NOT NULL CONSTRAINT payroll_runs_currency_check CHECK (length(currency) = 3),
    status text COLLATE "C" NOT NULL DEFAULT 'draft' CONSTRAINT payroll_runs_status_check
        CHECK (status IN ('draft', 'calculating', 'calculated', 'approved', 'paid', 'closed', 'failed', 'cancelled')),
    -- Chosen by who makes the run, so that making it twice makes it once.
    idempotency_key text COLLATE "C",
    totals jsonb NOT NULL DEFAULT '{}',
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT payroll_runs_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT payroll_runs_idempotency_key_key UNIQUE (tenant_id, idempotency_key),
    CONSTRAINT payroll_runs_period_end_check CHECK (period_end >= period_start),
    CONSTRAINT payroll_runs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX payroll_runs_period_start_idx ON payroll_runs (tenant_id, period_start);

CREATE TABLE payslips (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    run_id uuid NOT NULL,
    employee_id uuid NOT NULL,
    currency text COLLATE "C" NOT NULL CONSTRAINT payslips_currency_check CHECK (length(currency) = 3),
    gross_minor bigint NOT NULL,
    deductions_minor bigint NOT NULL DEFAULT 0,
    tax_minor bigint NOT NULL DEFAULT 0,
    net_minor bigint NOT NULL,
    status text COLLATE "C" NOT NULL DEFAULT 'draft' CONSTRAINT payslips_status_check CHECK (status IN ('draft', 'final', 'void')),
    -- What the slip said when it was made: name, department, how the pay was reached.
    snapshot jsonb NOT NULL DEFAULT '{}',
    -- Where the slip lies in storage: bucket/name.
    document_path text COLLATE "C",
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT payslips_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT payslips_run_id_employee_id_key UNIQUE (tenant_id, run_id, employee_id),
    CONSTRAINT payslips_run_id_fkey FOREIGN KEY (tenant_id, run_id) REFERENCES payroll_runs (tenant_id, id),
    CONSTRAINT payslips_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id)
);

CREATE INDEX payslips_employee_id_idx ON payslips (tenant_id, employee_id);

-- What the name search knows of an employee, written with the employee. Only directory fields enter it.
CREATE TABLE employee_search (
    -- Names the row in SQLite's employee_search_index; the twin has no other use for it.
    doc_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL,
    employee_id uuid NOT NULL,
    -- Each as the search folds it: number, whole address, name as displayed, family name first, initials with spaces around.
    number text COLLATE "C" NOT NULL,
    email text COLLATE "C",
    name text COLLATE "C" NOT NULL,
    family_first text COLLATE "C" NOT NULL,
    initials text COLLATE "C" NOT NULL,
    -- Every term, led by the tenant's number: 7xlina.
    terms tsvector NOT NULL,
    CONSTRAINT employee_search_employee_id_key UNIQUE (tenant_id, employee_id),
    CONSTRAINT employee_search_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX employee_search_terms_idx ON employee_search USING gin (terms);
