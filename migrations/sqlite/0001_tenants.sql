-- Tenants, and the keys by which requests and tokens are known to be theirs.

CREATE TABLE tenants (
    id integer PRIMARY KEY,
    -- Never reused: a deleted tenant keeps its row.
    reference text NOT NULL,
    name text NOT NULL,
    status text NOT NULL CONSTRAINT tenants_status_check CHECK (status IN ('active', 'suspended', 'deleted')),
    domain text,
    settings text NOT NULL,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT tenants_reference_key UNIQUE (reference),
    CONSTRAINT tenants_domain_key UNIQUE (domain)
) STRICT;

CREATE TABLE api_keys (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    kind text NOT NULL CONSTRAINT api_keys_kind_check CHECK (kind IN ('publishable', 'secret')),
    name text NOT NULL,
    hint text NOT NULL,
    -- SHA-256 of the whole key: a request brings the key and nothing else, so this alone finds the tenant.
    hash blob NOT NULL,
    scopes text NOT NULL,
    created_at text NOT NULL,
    expires_at text,
    revoked_at text,
    CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT api_keys_hash_key UNIQUE (hash),
    CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_keys (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    algorithm text NOT NULL CONSTRAINT signing_keys_algorithm_check CHECK (algorithm IN ('ES256', 'HS256', 'RS256')),
    status text NOT NULL CONSTRAINT signing_keys_status_check CHECK (status IN ('current', 'previous')),
    -- Sealed with the master key: the private key in PKCS#8, or an HMAC secret. NULL for a key that only verifies.
    secret blob,
    -- The public key as a JWK; NULL for an HMAC secret.
    public_jwk text,
    created_at text NOT NULL,
    -- A previous key verifies until then.
    retires_at text,
    CONSTRAINT signing_keys_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT signing_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE operator_keys (
    id text NOT NULL,
    hint text NOT NULL,
    hash blob NOT NULL,
    created_at text NOT NULL,
    revoked_at text,
    CONSTRAINT operator_keys_pkey PRIMARY KEY (id),
    CONSTRAINT operator_keys_hash_key UNIQUE (hash)
) STRICT, WITHOUT ROWID;
