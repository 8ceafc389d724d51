-- Employees that were deleted, whole, so that it can be undone for a while.
CREATE TABLE deleted_employees (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    deleted_at text NOT NULL,
    -- Sealed: the row, and what concerned the person.
    contents blob NOT NULL,
    CONSTRAINT deleted_employees_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT deleted_employees_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT;
