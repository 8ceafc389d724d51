-- Work that follows a transaction, and the mails of tenants whose mails go nowhere else.

CREATE TABLE jobs (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    -- Sealed with the master key: a mail has in it what signs its reader in.
    payload bytea NOT NULL,
    -- How often it was begun. Who finishes a job names the attempt, so that one that lost it does no harm.
    attempts bigint NOT NULL,
    -- Not before; while it is being done, when somebody else may begin it again.
    run_at timestamptz NOT NULL,
    last_error text,
    created_at timestamptz NOT NULL,
    -- Set when it was given up; it stays to be seen.
    failed_at timestamptz,
    CONSTRAINT jobs_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT jobs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

-- The worker asks for what is due, whoever's it is.
CREATE INDEX jobs_run_at_idx ON jobs (failed_at, run_at);

CREATE TABLE inbox_mails (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    recipient text NOT NULL,
    -- Sealed with the master key, as a job's payload is.
    content bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT inbox_mails_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT inbox_mails_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX inbox_mails_recipient_idx ON inbox_mails (tenant_id, recipient, id);
