-- Users, the identities they sign in with, and their sessions.

CREATE TABLE users (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    aud text NOT NULL,
    role text NOT NULL,
    -- Lower-cased. NULL for who has none, and after a soft delete.
    email text,
    phone text,
    -- A PHC string. NULL for who can't sign in by password.
    encrypted_password text,
    email_confirmed_at timestamptz,
    phone_confirmed_at timestamptz,
    invited_at timestamptz,
    confirmation_sent_at timestamptz,
    recovery_sent_at timestamptz,
    new_email text,
    email_change_sent_at timestamptz,
    new_phone text,
    phone_change_sent_at timestamptz,
    reauthentication_sent_at timestamptz,
    last_sign_in_at timestamptz,
    -- Only an admin writes it: `roles` here is what rights are drawn from.
    app_metadata jsonb NOT NULL,
    user_metadata jsonb NOT NULL,
    is_anonymous boolean NOT NULL,
    is_sso_user boolean NOT NULL,
    banned_until timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT users_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT users_email_key UNIQUE (tenant_id, email),
    CONSTRAINT users_phone_key UNIQUE (tenant_id, phone),
    CONSTRAINT users_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX users_created_at_idx ON users (tenant_id, created_at, id);

CREATE TABLE identities (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    provider text NOT NULL,
    -- The provider's name for the user: for `email` and `phone` the user's own id.
    provider_id text NOT NULL,
    identity_data jsonb NOT NULL,
    email text,
    last_sign_in_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT identities_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT identities_provider_id_key UNIQUE (tenant_id, provider, provider_id),
    CONSTRAINT identities_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX identities_user_id_idx ON identities (tenant_id, user_id);

CREATE TABLE sessions (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    -- Random. Together with a key that is not in the database it authenticates the session's refresh tokens.
    refresh_key bytea NOT NULL,
    -- The number of the one refresh token that may be exchanged; its parent has the number before.
    refresh_counter bigint NOT NULL,
    aal text NOT NULL CONSTRAINT sessions_aal_check CHECK (aal IN ('aal1', 'aal2', 'aal3')),
    -- How the user proved who it is: `[{"method", "timestamp"}]`, newest first.
    amr jsonb NOT NULL,
    user_agent text,
    ip text,
    created_at timestamptz NOT NULL,
    refreshed_at timestamptz,
    not_after timestamptz,
    CONSTRAINT sessions_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX sessions_user_id_idx ON sessions (tenant_id, user_id);
