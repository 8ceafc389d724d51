-- What was answered to writes with an Idempotency-Key, written with their effect, so that the same request gets the same answer again.
CREATE TABLE record_answers (
    tenant_id integer NOT NULL,
    -- Who asked: user/… or key/….
    principal text NOT NULL,
    idempotency_key text NOT NULL,
    -- SHA-256 of what was asked.
    request blob NOT NULL,
    -- Empty only inside the transaction that makes the row.
    status integer,
    headers text,
    -- Sealed: rows that were answered may hold pay.
    body blob,
    created_at text NOT NULL,
    CONSTRAINT record_answers_pkey PRIMARY KEY (tenant_id, principal, idempotency_key),
    CONSTRAINT record_answers_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT;
