-- What a mail or a text message carries: tokens that are good once. And what must be known so that not too many are sent, and where a
-- user has signed in before.

CREATE TABLE one_time_tokens (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    -- What it is for, and nothing else.
    purpose text NOT NULL,
    -- SHA-256 of the token as the link has it. The code is a part of what the token is computed from, together with a key that is not here.
    token_hash bytea NOT NULL,
    -- The mail address or phone number that it was sent to.
    address text NOT NULL,
    -- The address or number that the user will have; NULL when nothing is to change.
    new_address text,
    -- Wrong codes so far. After some of them the code is burnt; the link goes on.
    failures bigint NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT one_time_tokens_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT one_time_tokens_token_hash_key UNIQUE (tenant_id, token_hash),
    CONSTRAINT one_time_tokens_purpose_key UNIQUE (tenant_id, user_id, purpose),
    CONSTRAINT one_time_tokens_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX one_time_tokens_address_idx ON one_time_tokens (tenant_id, address);

-- When something of a kind was last asked for by an address, whether or not anybody has it: so the answer tells nothing.
CREATE TABLE message_requests (
    tenant_id bigint NOT NULL,
    kind text NOT NULL,
    -- A keyed digest: this is no list of strangers' addresses.
    address_hash bytea NOT NULL,
    requested_at timestamptz NOT NULL,
    CONSTRAINT message_requests_pkey PRIMARY KEY (tenant_id, kind, address_hash),
    CONSTRAINT message_requests_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

-- Browsers and networks that a user has signed in from.
CREATE TABLE known_devices (
    tenant_id bigint NOT NULL,
    user_id uuid NOT NULL,
    -- Of the browser, without its version, and the network.
    fingerprint bytea NOT NULL,
    last_seen_at timestamptz NOT NULL,
    CONSTRAINT known_devices_pkey PRIMARY KEY (tenant_id, user_id, fingerprint),
    CONSTRAINT known_devices_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);

-- Which of the two addresses has agreed to a change of address so far: 'current' or 'new'.
ALTER TABLE users ADD COLUMN email_change_agreed text;
