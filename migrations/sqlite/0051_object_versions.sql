-- What objects were before they were replaced or removed, in buckets that keep it.

ALTER TABLE buckets ADD COLUMN versioning integer NOT NULL DEFAULT 0;
-- JSON: what is removed after how long; NULL is nothing.
ALTER TABLE buckets ADD COLUMN lifecycle text;

CREATE TABLE object_versions (
    tenant_id integer NOT NULL,
    bucket_id text NOT NULL,
    name text NOT NULL,
    -- The object it was.
    id text NOT NULL,
    -- By which the version is named.
    blob_id text NOT NULL,
    owner_id text,
    size integer NOT NULL,
    sha256 blob NOT NULL,
    content_type text NOT NULL,
    cache_control text NOT NULL,
    robots_tag text,
    user_metadata text,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    found_type text,
    -- When it was replaced, or removed.
    ended_at text NOT NULL,
    removed integer NOT NULL,
    CONSTRAINT object_versions_pkey PRIMARY KEY (tenant_id, bucket_id, name, blob_id),
    CONSTRAINT object_versions_bucket_id_fkey FOREIGN KEY (tenant_id, bucket_id) REFERENCES buckets (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX object_versions_ended_at_idx ON object_versions (tenant_id, bucket_id, ended_at);
