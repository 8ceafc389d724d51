-- Second factors and what they are verified by, passkeys, and which factor raised a session.

CREATE TABLE factors (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    friendly_name text NOT NULL,
    factor_type text NOT NULL CONSTRAINT factors_factor_type_check CHECK (factor_type IN ('totp', 'phone', 'webauthn', 'recovery_code')),
    status text NOT NULL CONSTRAINT factors_status_check CHECK (status IN ('unverified', 'verified')),
    phone text,
    -- The TOTP secret, sealed with the master key.
    secret bytea,
    -- The WebAuthn credential: its public key and counter.
    credential jsonb,
    -- The last TOTP time step whose code was taken. Nothing up to it is taken again.
    last_step bigint,
    -- Wrong codes since the last right one.
    failures bigint NOT NULL,
    locked_until timestamptz,
    last_challenged_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT factors_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT factors_friendly_name_key UNIQUE (tenant_id, user_id, friendly_name),
    CONSTRAINT factors_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE factor_challenges (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    factor_id uuid NOT NULL,
    -- Where it was asked for; it is answered from there.
    ip text,
    -- For a phone: the code, hashed with a key that is not in the database.
    code_hash bytea,
    -- For WebAuthn: what was asked of the authenticator.
    state jsonb,
    created_at timestamptz NOT NULL,
    verified_at timestamptz,
    CONSTRAINT factor_challenges_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT factor_challenges_factor_id_fkey FOREIGN KEY (tenant_id, factor_id) REFERENCES factors (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX factor_challenges_factor_id_idx ON factor_challenges (tenant_id, factor_id);

CREATE TABLE recovery_codes (
    tenant_id bigint NOT NULL,
    factor_id uuid NOT NULL,
    -- Hashed with a key that is not in the database.
    code_hash bytea NOT NULL,
    used_at timestamptz,
    CONSTRAINT recovery_codes_pkey PRIMARY KEY (tenant_id, factor_id, code_hash),
    CONSTRAINT recovery_codes_factor_id_fkey FOREIGN KEY (tenant_id, factor_id) REFERENCES factors (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE passkeys (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    friendly_name text NOT NULL,
    -- The authenticator's name for it.
    credential_id bytea NOT NULL,
    -- Its public key and counter.
    credential jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    last_used_at timestamptz,
    CONSTRAINT passkeys_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT passkeys_credential_id_key UNIQUE (tenant_id, credential_id),
    CONSTRAINT passkeys_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX passkeys_user_id_idx ON passkeys (tenant_id, user_id);

CREATE TABLE passkey_challenges (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    -- NULL when nobody is known yet: the passkey tells who signs in.
    user_id uuid,
    -- What was asked of the authenticator.
    state jsonb NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT passkey_challenges_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT passkey_challenges_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX passkey_challenges_expires_at_idx ON passkey_challenges (tenant_id, expires_at);
CREATE INDEX passkey_challenges_user_id_idx ON passkey_challenges (tenant_id, user_id);

-- The factor that raised the session to `aal2`, so that the session falls with it.
ALTER TABLE sessions ADD COLUMN factor_id uuid;

-- Refresh tokens that count less were given out before the session was raised, and never show what came after.
ALTER TABLE sessions ADD COLUMN refresh_floor bigint NOT NULL DEFAULT 0;
