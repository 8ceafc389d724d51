-- Second factors and what they are verified by, passkeys, and which factor raised a session.

CREATE TABLE factors (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    user_id text NOT NULL,
    friendly_name text NOT NULL,
    factor_type text NOT NULL CONSTRAINT factors_factor_type_check CHECK (factor_type IN ('totp', 'phone', 'webauthn', 'recovery_code')),
    status text NOT NULL CONSTRAINT factors_status_check CHECK (status IN ('unverified', 'verified')),
    phone text,
    -- The TOTP secret, sealed with the master key.
    secret blob,
    -- The WebAuthn credential: its public key and counter.
    credential text,
    -- The last TOTP time step whose code was taken. Nothing up to it is taken again.
    last_step integer,
    -- Wrong codes since the last right one.
    failures integer NOT NULL,
    locked_until text,
    last_challenged_at text,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT factors_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT factors_friendly_name_key UNIQUE (tenant_id, user_id, friendly_name),
    CONSTRAINT factors_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE factor_challenges (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    factor_id text NOT NULL,
    -- Where it was asked for; it is answered from there.
    ip text,
    -- For a phone: the code, hashed with a key that is not in the database.
    code_hash blob,
    -- For WebAuthn: what was asked of the authenticator.
    state text,
    created_at text NOT NULL,
    verified_at text,
    CONSTRAINT factor_challenges_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT factor_challenges_factor_id_fkey FOREIGN KEY (tenant_id, factor_id) REFERENCES factors (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX factor_challenges_factor_id_idx ON factor_challenges (tenant_id, factor_id);

CREATE TABLE recovery_codes (
    tenant_id integer NOT NULL,
    factor_id text NOT NULL,
    -- Hashed with a key that is not in the database.
    code_hash blob NOT NULL,
    used_at text,
    CONSTRAINT recovery_codes_pkey PRIMARY KEY (tenant_id, factor_id, code_hash),
    CONSTRAINT recovery_codes_factor_id_fkey FOREIGN KEY (tenant_id, factor_id) REFERENCES factors (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE passkeys (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    user_id text NOT NULL,
    friendly_name text NOT NULL,
    -- The authenticator's name for it.
    credential_id blob NOT NULL,
    -- Its public key and counter.
    credential text NOT NULL,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    last_used_at text,
    CONSTRAINT passkeys_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT passkeys_credential_id_key UNIQUE (tenant_id, credential_id),
    CONSTRAINT passkeys_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX passkeys_user_id_idx ON passkeys (tenant_id, user_id);

CREATE TABLE passkey_challenges (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    -- NULL when nobody is known yet: the passkey tells who signs in.
    user_id text,
    -- What was asked of the authenticator.
    state text NOT NULL,
    expires_at text NOT NULL,
    CONSTRAINT passkey_challenges_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT passkey_challenges_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX passkey_challenges_expires_at_idx ON passkey_challenges (tenant_id, expires_at);
CREATE INDEX passkey_challenges_user_id_idx ON passkey_challenges (tenant_id, user_id);

-- The factor that raised the session to `aal2`, so that the session falls with it.
ALTER TABLE sessions ADD COLUMN factor_id text;

-- Refresh tokens that count less were given out before the session was raised, and never show what came after.
ALTER TABLE sessions ADD COLUMN refresh_floor integer NOT NULL DEFAULT 0;
