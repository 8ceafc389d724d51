-- Employees and what belongs to them. The catalog in src/records/catalog.rs describes the same tables to the planner.

CREATE TABLE departments (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    parent_id text,
    head_employee_id text,
    cost_center text,
    active integer NOT NULL DEFAULT 1,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT departments_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT departments_code_key UNIQUE (tenant_id, code),
    CONSTRAINT departments_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    CONSTRAINT departments_parent_id_fkey FOREIGN KEY (tenant_id, parent_id) REFERENCES departments (tenant_id, id),
    CONSTRAINT departments_head_employee_id_fkey FOREIGN KEY (tenant_id, head_employee_id) REFERENCES employees (tenant_id, id)
) STRICT;

CREATE INDEX departments_parent_id_idx ON departments (tenant_id, parent_id);
CREATE INDEX departments_head_employee_id_idx ON departments (tenant_id, head_employee_id);

CREATE TABLE employees (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    employee_number text NOT NULL,
    -- The user who is this employee, if one has been linked.
    user_id text,
    -- The id in the system the record came from.
    external_id text,
    given_name text,
    family_name text,
    middle_name text,
    preferred_name text,
    display_name text NOT NULL,
    name_phonetic text,
    name_sort text NOT NULL,
    work_email text,
    work_phone text,
    status text NOT NULL DEFAULT 'active'
        CONSTRAINT employees_status_check CHECK (status IN ('pending', 'active', 'leave', 'suspended', 'terminated')),
    employment_type text NOT NULL DEFAULT 'full_time'
        CONSTRAINT employees_employment_type_check CHECK (employment_type IN ('full_time', 'part_time', 'contractor', 'intern', 'temporary')),
    department_id text,
    job_title text,
    manager_id text,
    cost_center text,
    hired_on text,
    terminated_on text,
    custom text NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT employees_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT employees_employee_number_key UNIQUE (tenant_id, employee_number),
    CONSTRAINT employees_user_id_key UNIQUE (tenant_id, user_id),
    CONSTRAINT employees_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT employees_work_email_key UNIQUE (tenant_id, work_email),
    CONSTRAINT employees_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    CONSTRAINT employees_department_id_fkey FOREIGN KEY (tenant_id, department_id) REFERENCES departments (tenant_id, id),
    CONSTRAINT employees_manager_id_fkey FOREIGN KEY (tenant_id, manager_id) REFERENCES employees (tenant_id, id)
) STRICT;

CREATE INDEX employees_department_id_idx ON employees (tenant_id, department_id);
CREATE INDEX employees_manager_id_idx ON employees (tenant_id, manager_id);
CREATE INDEX employees_name_sort_idx ON employees (tenant_id, name_sort, id);
CREATE INDEX employees_hired_on_idx ON employees (tenant_id, hired_on, id);

-- What concerns the person and not the job: a table of its own, so that no query of employees can touch it.
CREATE TABLE employee_private (
    tenant_id integer NOT NULL,
    employee_id text NOT NULL,
    date_of_birth text,
    gender text,
    personal_email text,
    mobile text,
    home_address text,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT employee_private_pkey PRIMARY KEY (tenant_id, employee_id),
    CONSTRAINT employee_private_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE job_assignments (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    employee_id text NOT NULL,
    effective_from text NOT NULL,
    -- Exclusive; NULL while in force.
    effective_to text,
    department_id text,
    job_title text,
    manager_id text,
    fte_permille integer NOT NULL DEFAULT 1000,
    change_reason text,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT job_assignments_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT job_assignments_effective_to_check CHECK (effective_to > effective_from),
    CONSTRAINT job_assignments_fte_permille_check CHECK (fte_permille BETWEEN 0 AND 1000),
    CONSTRAINT job_assignments_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id),
    CONSTRAINT job_assignments_department_id_fkey FOREIGN KEY (tenant_id, department_id) REFERENCES departments (tenant_id, id),
    CONSTRAINT job_assignments_manager_id_fkey FOREIGN KEY (tenant_id, manager_id) REFERENCES employees (tenant_id, id)
) STRICT;

CREATE INDEX job_assignments_employee_id_idx ON job_assignments (tenant_id, employee_id, effective_from);
CREATE INDEX job_assignments_department_id_idx ON job_assignments (tenant_id, department_id, effective_from);
CREATE INDEX job_assignments_manager_id_idx ON job_assignments (tenant_id, manager_id);

CREATE TABLE compensations (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    employee_id text NOT NULL,
    effective_from text NOT NULL,
    -- Exclusive; NULL while in force.
    effective_to text,
    -- ISO 4217; base_minor counts its smallest unit.
    currency text NOT NULL CONSTRAINT compensations_currency_check CHECK (length(currency) = 3),
    pay_basis text NOT NULL CONSTRAINT compensations_pay_basis_check CHECK (pay_basis IN ('hour', 'day', 'month', 'year')),
    pay_frequency text NOT NULL DEFAULT 'monthly'
        CONSTRAINT compensations_pay_frequency_check CHECK (pay_frequency IN ('weekly', 'biweekly', 'semimonthly', 'monthly')),
    base_minor integer NOT NULL CONSTRAINT compensations_base_minor_check CHECK (base_minor >= 0),
    reason text,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT compensations_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT compensations_employee_id_effective_from_key UNIQUE (tenant_id, employee_id, effective_from),
    CONSTRAINT compensations_effective_to_check CHECK (effective_to > effective_from),
    CONSTRAINT compensations_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id)
) STRICT;

CREATE INDEX compensations_effective_from_idx ON compensations (tenant_id, effective_from, effective_to);

CREATE TABLE payroll_runs (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    type text NOT NULL DEFAULT 'regular'
        CONSTRAINT payroll_runs_type_check CHECK (type IN ('regular', 'off_cycle', 'correction', 'termination', 'bonus')),
    period_start text NOT NULL,
    -- Inclusive: the last day that is paid.
    period_end text NOT NULL,
    pay_date text,
    currency text NOT NULL CONSTRAINT payroll_runs_currency_check CHECK (length(currency) = 3),
    status text NOT NULL DEFAULT 'draft' CONSTRAINT payroll_runs_status_check
        CHECK (status IN ('draft', 'calculating', 'calculated', 'approved', 'paid', 'closed', 'failed', 'cancelled')),
    -- Chosen by who makes the run, so that making it twice makes it once.
    idempotency_key text,
    totals text NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT payroll_runs_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT payroll_runs_idempotency_key_key UNIQUE (tenant_id, idempotency_key),
    CONSTRAINT payroll_runs_period_end_check CHECK (period_end >= period_start),
    CONSTRAINT payroll_runs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT;

CREATE INDEX payroll_runs_period_start_idx ON payroll_runs (tenant_id, period_start);

CREATE TABLE payslips (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    run_id text NOT NULL,
    employee_id text NOT NULL,
    currency text NOT NULL CONSTRAINT payslips_currency_check CHECK (length(currency) = 3),
    gross_minor integer NOT NULL,
    deductions_minor integer NOT NULL DEFAULT 0,
    tax_minor integer NOT NULL DEFAULT 0,
    net_minor integer NOT NULL,
    status text NOT NULL DEFAULT 'draft' CONSTRAINT payslips_status_check CHECK (status IN ('draft', 'final', 'void')),
    -- What the slip said when it was made: name, department, how the pay was reached.
    snapshot text NOT NULL DEFAULT '{}',
    -- Where the slip lies in storage: bucket/name.
    document_path text,
    version integer NOT NULL DEFAULT 1,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT payslips_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT payslips_run_id_employee_id_key UNIQUE (tenant_id, run_id, employee_id),
    CONSTRAINT payslips_run_id_fkey FOREIGN KEY (tenant_id, run_id) REFERENCES payroll_runs (tenant_id, id),
    CONSTRAINT payslips_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id)
) STRICT;

CREATE INDEX payslips_employee_id_idx ON payslips (tenant_id, employee_id);

-- What the name search knows of an employee, written with the employee. Only directory fields enter it.
CREATE TABLE employee_search (
    -- Names the row in employee_search_index, so it must outlive a VACUUM.
    doc_id integer PRIMARY KEY,
    tenant_id integer NOT NULL,
    employee_id text NOT NULL,
    -- Each as the search folds it: number, whole address, name as displayed, family name first, initials with spaces around.
    number text NOT NULL,
    email text,
    name text NOT NULL,
    family_first text NOT NULL,
    initials text NOT NULL,
    -- Every term, led by the tenant's number: 7xlina.
    terms text NOT NULL,
    CONSTRAINT employee_search_employee_id_key UNIQUE (tenant_id, employee_id),
    CONSTRAINT employee_search_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id) ON DELETE CASCADE
) STRICT;

-- The terms come folded and split; all this has to do is to cut at spaces, so the plainest tokenizer is the right one.
CREATE VIRTUAL TABLE employee_search_index USING fts5 (terms, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');
