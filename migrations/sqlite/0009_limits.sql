-- How often who asked for what, who guessed wrong, and where users came in from.

-- For nodes that count together. There is one node on SQLite, which counts in memory and leaves both tables empty.
CREATE TABLE rate_limits (
    tenant_id integer NOT NULL,
    bucket text NOT NULL,
    -- A keyed digest of the network or address that is counted.
    subject text NOT NULL,
    -- When the count is empty again, in microseconds since 1970.
    arrival integer NOT NULL,
    CONSTRAINT rate_limits_pkey PRIMARY KEY (tenant_id, bucket, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE wrong_guesses (
    tenant_id integer NOT NULL,
    -- What is guessed.
    secret text NOT NULL,
    -- A keyed digest of the network that guesses and the account that is guessed at.
    subject text NOT NULL,
    failures integer NOT NULL,
    -- When the last was made, and when the next may be, in microseconds since 1970.
    last_at integer NOT NULL,
    blocked_until integer NOT NULL,
    CONSTRAINT wrong_guesses_pkey PRIMARY KEY (tenant_id, secret, subject)
) STRICT, WITHOUT ROWID;

-- Where a user came in from is not shut when strangers guess at its password from elsewhere.
CREATE TABLE user_networks (
    tenant_id integer NOT NULL,
    user_id text NOT NULL,
    -- An address of IPv4, a /64 of IPv6.
    network text NOT NULL,
    seen_at text NOT NULL,
    CONSTRAINT user_networks_pkey PRIMARY KEY (tenant_id, user_id, network),
    CONSTRAINT user_networks_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
