-- Refresh tokens that came with sessions from elsewhere. Each is exchanged for one of ours; its session then has none but ours.

CREATE TABLE imported_refresh_tokens (
    tenant_id bigint NOT NULL,
    -- SHA-256 of the token.
    hash bytea NOT NULL,
    session_id uuid NOT NULL,
    CONSTRAINT imported_refresh_tokens_pkey PRIMARY KEY (tenant_id, hash),
    CONSTRAINT imported_refresh_tokens_session_id_fkey FOREIGN KEY (tenant_id, session_id) REFERENCES sessions (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX imported_refresh_tokens_session_id_idx ON imported_refresh_tokens (tenant_id, session_id);
