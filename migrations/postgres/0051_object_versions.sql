-- What objects were before they were replaced or removed, in buckets that keep it.

ALTER TABLE buckets ADD COLUMN versioning boolean NOT NULL DEFAULT false;
-- JSON: what is removed after how long; NULL is nothing.
ALTER TABLE buckets ADD COLUMN lifecycle jsonb;

CREATE TABLE object_versions (
    tenant_id bigint NOT NULL,
    bucket_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    -- The object it was.
    id uuid NOT NULL,
    -- By which the version is named.
    blob_id uuid NOT NULL,
    owner_id text,
    size bigint NOT NULL,
    sha256 bytea NOT NULL,
    content_type text NOT NULL,
    cache_control text NOT NULL,
    robots_tag text,
    user_metadata jsonb,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    found_type text,
    -- When it was replaced, or removed.
    ended_at timestamptz NOT NULL,
    removed boolean NOT NULL,
    CONSTRAINT object_versions_pkey PRIMARY KEY (tenant_id, bucket_id, name, blob_id),
    CONSTRAINT object_versions_bucket_id_fkey FOREIGN KEY (tenant_id, bucket_id) REFERENCES buckets (tenant_id, id)
);

CREATE INDEX object_versions_ended_at_idx ON object_versions (tenant_id, bucket_id, ended_at);
