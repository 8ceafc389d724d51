-- The providers that a tenant has set up of its own.

CREATE TABLE custom_providers (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    -- `custom:…`, as identities name it.
    identifier text NOT NULL,
    definition jsonb NOT NULL,
    -- Sealed with the master key.
    client_secret bytea,
    -- What an OpenID provider said of itself when it was saved.
    discovery jsonb,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT custom_providers_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT custom_providers_identifier_key UNIQUE (tenant_id, identifier),
    CONSTRAINT custom_providers_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);
