-- Flows that leave this server and come back: by a link in a mail, or by way of another provider.

CREATE TABLE flow_states (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    -- What the session will say of how it was earned.
    method text NOT NULL,
    -- NULL until it is known who comes back. Who links an identity is known from the beginning.
    user_id text,
    -- The mail token that it began with. Not a foreign key: a token is removed when it is used, and its flow goes on.
    mail_token_id text,
    challenge text,
    challenge_method text CONSTRAINT flow_states_challenge_method_check CHECK (challenge_method IN ('s256', 'plain')),
    -- SHA-256 of the code that the app exchanges for the session.
    code_hash blob,
    provider text,
    -- SHA-256 of what the provider gives back, and of what the browser keeps meanwhile.
    state_hash blob,
    browser_hash blob,
    -- Set when the user has come back from the provider: that happens once.
    claimed_at text,
    -- The session of the user who wants an identity more.
    linking_session_id text,
    redirect_to text,
    -- Sealed with the master key: what the provider is shown when the user comes back, then what it gave.
    secret blob,
    created_at text NOT NULL,
    expires_at text NOT NULL,
    CONSTRAINT flow_states_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT flow_states_code_hash_key UNIQUE (tenant_id, code_hash),
    CONSTRAINT flow_states_state_hash_key UNIQUE (tenant_id, state_hash),
    CONSTRAINT flow_states_mail_token_id_key UNIQUE (tenant_id, mail_token_id),
    CONSTRAINT flow_states_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id),
    CONSTRAINT flow_states_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX flow_states_user_id_idx ON flow_states (tenant_id, user_id);
CREATE INDEX flow_states_expires_at_idx ON flow_states (tenant_id, expires_at);
