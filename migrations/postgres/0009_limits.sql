-- How often who asked for what, who guessed wrong, and where users came in from.

-- Shared by all nodes. Lost in a crash, nothing is worse than that everybody may begin anew; so nobody waits for a disk.
CREATE UNLOGGED TABLE rate_limits (
    tenant_id bigint NOT NULL,
    bucket text NOT NULL,
    -- A keyed digest of the network or address that is counted.
    subject text NOT NULL,
    -- When the count is empty again, in microseconds since 1970.
    arrival bigint NOT NULL,
    CONSTRAINT rate_limits_pkey PRIMARY KEY (tenant_id, bucket, subject)
);

CREATE UNLOGGED TABLE wrong_guesses (
    tenant_id bigint NOT NULL,
    -- What is guessed.
    secret text NOT NULL,
    -- A keyed digest of the network that guesses and the account that is guessed at.
    subject text NOT NULL,
    failures bigint NOT NULL,
    -- When the last was made, and when the next may be, in microseconds since 1970.
    last_at bigint NOT NULL,
    blocked_until bigint NOT NULL,
    CONSTRAINT wrong_guesses_pkey PRIMARY KEY (tenant_id, secret, subject)
);

-- Where a user came in from is not shut when strangers guess at its password from elsewhere.
CREATE TABLE user_networks (
    tenant_id bigint NOT NULL,
    user_id uuid NOT NULL,
    -- An address of IPv4, a /64 of IPv6.
    network text NOT NULL,
    seen_at timestamptz NOT NULL,
    CONSTRAINT user_networks_pkey PRIMARY KEY (tenant_id, user_id, network),
    CONSTRAINT user_networks_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);
