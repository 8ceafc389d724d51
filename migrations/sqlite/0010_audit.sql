-- What happened, who did it and from where. Rows are added and read, never changed; they go with their tenant.

CREATE TABLE audit_log (
    tenant_id integer NOT NULL,
    -- Version 7: the order of ids is the order of events.
    id text NOT NULL,
    -- `user`, `key`, `service_role`, `operator`, `anonymous` or `system`.
    actor_kind text NOT NULL,
    actor_id text,
    action text NOT NULL,
    log_type text NOT NULL,
    -- The user that it happened to. No foreign key: the entry outlives the user.
    subject_id text,
    ip text,
    request_id text,
    -- References and settings' names; no secret, no address, no mail.
    traits text NOT NULL,
    created_at text NOT NULL,
    CONSTRAINT audit_log_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT audit_log_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'entries of the audit log are never changed');
END;
