-- What happened, who did it and from where. Rows are added and read, never changed; they go with their tenant.

CREATE TABLE audit_log (
    tenant_id bigint NOT NULL,
    -- Version 7: the order of ids is the order of events.
    id uuid NOT NULL,
    -- `user`, `key`, `service_role`, `operator`, `anonymous` or `system`.
    actor_kind text NOT NULL,
    actor_id uuid,
    action text NOT NULL,
    log_type text NOT NULL,
    -- The user that it happened to. No foreign key: the entry outlives the user.
    subject_id uuid,
    ip text,
    request_id text,
    -- References and settings' names; no secret, no address, no mail.
    traits jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT audit_log_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT audit_log_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of the audit log are never changed';
END
$$;

CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
