-- Employees that were deleted, whole, so that it can be undone for a while.
CREATE TABLE deleted_employees (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    deleted_at timestamptz NOT NULL,
    -- Sealed: the row, and what concerned the person.
    contents bytea NOT NULL,
    CONSTRAINT deleted_employees_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT deleted_employees_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);
