-- Work that follows a transaction, and the mails of tenants whose mails go nowhere else.

CREATE TABLE jobs (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    -- Sealed with the master key: a mail has in it what signs its reader in.
    payload blob NOT NULL,
    -- How often it was begun. Who finishes a job names the attempt, so that one that lost it does no harm.
    attempts integer NOT NULL,
    -- Not before; while it is being done, when somebody else may begin it again.
    run_at text NOT NULL,
    last_error text,
    created_at text NOT NULL,
    -- Set when it was given up; it stays to be seen.
    failed_at text,
    CONSTRAINT jobs_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT jobs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT, WITHOUT ROWID;

-- The worker asks for what is due, whoever's it is.
CREATE INDEX jobs_run_at_idx ON jobs (failed_at, run_at);

CREATE TABLE inbox_mails (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    recipient text NOT NULL,
    -- Sealed with the master key, as a job's payload is.
    content blob NOT NULL,
    created_at text NOT NULL,
    CONSTRAINT inbox_mails_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT inbox_mails_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX inbox_mails_recipient_idx ON inbox_mails (tenant_id, recipient, id);
