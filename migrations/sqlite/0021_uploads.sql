-- Uploads that are made in many requests (TUS), and the bytes of theirs that are durable.

CREATE TABLE uploads (
    tenant_id integer NOT NULL,
    id text NOT NULL,
    -- No foreign key: a bucket can be removed while uploads to it are under way; they end when they notice.
    bucket_id text NOT NULL,
    name text NOT NULL,
    -- Who began it, and nobody else goes on with it: `user:ID`, `key:ID`, `anon`, `service`, or `url:` with the hash of a signed URL's token.
    creator text NOT NULL,
    upsert integer NOT NULL,
    -- How many bytes it will have, once that is known.
    length integer,
    -- How many of them are durable: the offset.
    received integer NOT NULL,
    -- The client's `Upload-Metadata`, as it came.
    told text NOT NULL,
    content_type text NOT NULL,
    cache_control text NOT NULL,
    user_metadata text,
    -- Who writes to it at this moment, and until when that is believed without news.
    lease text,
    lease_until text,
    finished_at text,
    created_at text NOT NULL,
    expires_at text NOT NULL,
    CONSTRAINT uploads_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT uploads_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE upload_parts (
    tenant_id integer NOT NULL,
    upload_id text NOT NULL,
    -- Where its bytes begin in the whole.
    start integer NOT NULL,
    size integer NOT NULL,
    blob_id text NOT NULL,
    CONSTRAINT upload_parts_pkey PRIMARY KEY (tenant_id, upload_id, start),
    CONSTRAINT upload_parts_upload_id_fkey FOREIGN KEY (tenant_id, upload_id) REFERENCES uploads (tenant_id, id)
) STRICT, WITHOUT ROWID;
