-- Users, the identities they sign in with, and their sessions.

CREATE TABLE users (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    aud text NOT NULL,
    role text NOT NULL,
    -- Lower-cased. NULL for who has none, and after a soft delete.
    email text,
    phone text,
    -- A PHC string. NULL for who can't sign in by password.
    encrypted_password text,
    email_confirmed_at text,
    phone_confirmed_at text,
    invited_at text,
    confirmation_sent_at text,
    recovery_sent_at text,
    new_email text,
    email_change_sent_at text,
    new_phone text,
    phone_change_sent_at text,
    reauthentication_sent_at text,
    last_sign_in_at text,
    -- Only an admin writes it: `roles` here is what rights are drawn from.
    app_metadata text NOT NULL,
    user_metadata text NOT NULL,
    is_anonymous integer NOT NULL,
    is_sso_user integer NOT NULL,
    banned_until text,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    deleted_at text,
    CONSTRAINT users_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT users_email_key UNIQUE (tenant_id, email),
    CONSTRAINT users_phone_key UNIQUE (tenant_id, phone),
    CONSTRAINT users_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX users_created_at_idx ON users (tenant_id, created_at, id);

CREATE TABLE identities (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    user_id text NOT NULL,
    provider text NOT NULL,
    -- The provider's name for the user: for `email` and `phone` the user's own id.
    provider_id text NOT NULL,
    identity_data text NOT NULL,
    email text,
    last_sign_in_at text,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT identities_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT identities_provider_id_key UNIQUE (tenant_id, provider, provider_id),
    CONSTRAINT identities_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX identities_user_id_idx ON identities (tenant_id, user_id);

CREATE TABLE sessions (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    user_id text NOT NULL,
    -- Random. Together with a key that is not in the database it authenticates the session's refresh tokens.
    refresh_key blob NOT NULL,
    -- The number of the one refresh token that may be exchanged; its parent has the number before.
    refresh_counter integer NOT NULL,
    aal text NOT NULL CONSTRAINT sessions_aal_check CHECK (aal IN ('aal1', 'aal2', 'aal3')),
    -- How the user proved who it is: `[{"method", "timestamp"}]`, newest first.
    amr text NOT NULL,
    user_agent text,
    ip text,
    created_at text NOT NULL,
    refreshed_at text,
    not_after text,
    CONSTRAINT sessions_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_user_id_idx ON sessions (tenant_id, user_id);
