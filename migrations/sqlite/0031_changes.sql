-- Who changed which row when, and what it was before: one table for each group of fields, so that who may not read a group does not
-- learn of its changes either. Values of personal and pay fields are kept as keyed hashes.

CREATE TABLE changes (
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
    -- By column: the value before and after.
    changes text NOT NULL,
    CONSTRAINT changes_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT changes_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT;

CREATE INDEX changes_row_id_idx ON changes (tenant_id, table_name, row_id, id);

CREATE TABLE personal_changes (
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
    -- By column: the value before and after.
    changes text NOT NULL,
    CONSTRAINT personal_changes_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT personal_changes_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT;

CREATE INDEX personal_changes_row_id_idx ON personal_changes (tenant_id, table_name, row_id, id);

CREATE TABLE pay_changes (
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
    -- By column: the value before and after.
    changes text NOT NULL,
    CONSTRAINT pay_changes_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT pay_changes_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT;

CREATE INDEX pay_changes_row_id_idx ON pay_changes (tenant_id, table_name, row_id, id);
