-- How much there is of what files take, and how much there may be.

-- What the first bytes look like, where they look like something: `image/png`.
ALTER TABLE objects ADD COLUMN found_type text;

-- The most bytes of all files in a bucket; NULL is no limit of its own.
ALTER TABLE buckets ADD COLUMN quota_bytes bigint;

-- Counted in the transaction that changes the files, so that they always agree.
CREATE TABLE storage_usage (
    tenant_id bigint NOT NULL,
    kind text NOT NULL CONSTRAINT storage_usage_kind_check CHECK (kind IN ('tenant', 'bucket', 'user')),
    -- The bucket or the user; empty for the tenant, and for files that are nobody's.
    name text COLLATE "C" NOT NULL,
    bytes bigint NOT NULL,
    objects bigint NOT NULL,
    CONSTRAINT storage_usage_pkey PRIMARY KEY (tenant_id, kind, name),
    CONSTRAINT storage_usage_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

INSERT INTO storage_usage (tenant_id, kind, name, bytes, objects)
    SELECT tenant_id, 'tenant', '', sum(size), count(*) FROM objects GROUP BY tenant_id;
INSERT INTO storage_usage (tenant_id, kind, name, bytes, objects)
    SELECT tenant_id, 'bucket', bucket_id, sum(size), count(*) FROM objects GROUP BY tenant_id, bucket_id;
INSERT INTO storage_usage (tenant_id, kind, name, bytes, objects)
    SELECT tenant_id, 'user', coalesce(owner_id, ''), sum(size), count(*) FROM objects GROUP BY tenant_id, coalesce(owner_id, '');
