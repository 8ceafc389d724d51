-- Buckets, the objects in them, and the blobs that no object names.
-- Names sort by bytes, so that a prefix is a range and both databases list in the same order.

CREATE TABLE buckets (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    public integer NOT NULL,
    file_size_limit integer,
    -- A JSON list of `type/subtype`, `type/*` or `*`; NULL allows all.
    allowed_mime_types text,
    owner_id text,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT buckets_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT buckets_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE objects (
    tenant_id integer NOT NULL,
    bucket_id text NOT NULL,
    name text NOT NULL,
    -- New for every object, also for one that is made again under an old name: signed URLs name it.
    id text NOT NULL,
    -- New for every content.
    blob_id text NOT NULL,
    -- The user who uploaded it. No foreign key: files outlive users.
    owner_id text,
    size integer NOT NULL,
    sha256 blob NOT NULL,
    content_type text NOT NULL,
    cache_control text NOT NULL,
    robots_tag text,
    user_metadata text,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    CONSTRAINT objects_pkey PRIMARY KEY (tenant_id, bucket_id, name),
    CONSTRAINT objects_id_key UNIQUE (tenant_id, id),
    CONSTRAINT objects_bucket_id_fkey FOREIGN KEY (tenant_id, bucket_id) REFERENCES buckets (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX objects_owner_id_idx ON objects (tenant_id, owner_id, bucket_id, name);

-- Blobs that no object names: an upload is under way, or the object was replaced or removed. The sweeper removes them.
CREATE TABLE loose_blobs (
    tenant_id integer NOT NULL,
    blob_id text NOT NULL,
    state text NOT NULL CONSTRAINT loose_blobs_state_check CHECK (state IN ('uploading', 'garbage')),
    since text NOT NULL,
    CONSTRAINT loose_blobs_pkey PRIMARY KEY (tenant_id, blob_id),
    CONSTRAINT loose_blobs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT, WITHOUT ROWID;
