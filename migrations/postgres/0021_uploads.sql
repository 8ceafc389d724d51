-- Uploads that are made in many requests (TUS), and the bytes of theirs that are durable.

CREATE TABLE uploads (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    -- No foreign key: a bucket can be removed while uploads to it are under way; they end when they notice.
    bucket_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    -- Who began it, and nobody else goes on with it: `user:ID`, `key:ID`, `anon`, `service`, or `url:` with the hash of a signed URL's token.
    creator text NOT NULL,
    upsert boolean NOT NULL,
    -- How many bytes it will have, once that is known.
    length bigint,
    -- How many of them are durable: the offset.
    received bigint NOT NULL,
    -- The client's `Upload-Metadata`, as it came.
    told text NOT NULL,
    content_type text NOT NULL,
    cache_control text NOT NULL,
    user_metadata jsonb,
    -- Who writes to it at this moment, and until when that is believed without news.
    lease uuid,
    lease_until timestamptz,
    finished_at timestamptz,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT uploads_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT uploads_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE TABLE upload_parts (
    tenant_id bigint NOT NULL,
    upload_id uuid NOT NULL,
    -- Where its bytes begin in the whole.
    start bigint NOT NULL,
    size bigint NOT NULL,
    blob_id uuid NOT NULL,
    CONSTRAINT upload_parts_pkey PRIMARY KEY (tenant_id, upload_id, start),
    CONSTRAINT upload_parts_upload_id_fkey FOREIGN KEY (tenant_id, upload_id) REFERENCES uploads (tenant_id, id)
);
