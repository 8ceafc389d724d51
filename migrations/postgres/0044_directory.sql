-- What a directory that keeps employees knows of them (SCIM 2.0).

-- The name they sign in by there, in lower case; nothing where that is the address at work.
ALTER TABLE employees ADD COLUMN user_name text COLLATE "C";
-- When the directory removed them: they are gone for it, and stay in the books.
ALTER TABLE employees ADD COLUMN deleted_at timestamptz;
CREATE UNIQUE INDEX employees_user_name_key ON employees (tenant_id, user_name);

CREATE TABLE employee_groups (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    display_name text COLLATE "C" NOT NULL,
    external_id text COLLATE "C",
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT employee_groups_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT employee_groups_display_name_key UNIQUE (tenant_id, display_name),
    CONSTRAINT employee_groups_external_id_key UNIQUE (tenant_id, external_id),
    CONSTRAINT employee_groups_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE TABLE employee_group_members (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    group_id uuid NOT NULL,
    employee_id uuid NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT employee_group_members_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT employee_group_members_group_id_employee_id_key UNIQUE (tenant_id, group_id, employee_id),
    CONSTRAINT employee_group_members_group_id_fkey FOREIGN KEY (tenant_id, group_id) REFERENCES employee_groups (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT employee_group_members_employee_id_fkey FOREIGN KEY (tenant_id, employee_id) REFERENCES employees (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX employee_group_members_employee_id_idx ON employee_group_members (tenant_id, employee_id);
