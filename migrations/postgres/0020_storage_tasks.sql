-- Work on all objects below a prefix: removing or moving them, with how far it is.

CREATE TABLE storage_tasks (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT storage_tasks_kind_check CHECK (kind IN ('delete', 'move')),
    bucket_id text COLLATE "C" NOT NULL,
    -- Empty, or ending in a slash, as is to_prefix.
    prefix text COLLATE "C" NOT NULL,
    to_bucket_id text COLLATE "C" NOT NULL,
    to_prefix text COLLATE "C" NOT NULL,
    -- Who asked for it: `user:ID`, `key:ID`, or `service`.
    creator text NOT NULL,
    status text NOT NULL CONSTRAINT storage_tasks_status_check CHECK (status IN ('waiting', 'running', 'done', 'failed')),
    -- Objects: how many there were at the beginning, how many were worked on, how many of these had to stay.
    total bigint,
    done bigint NOT NULL,
    skipped bigint NOT NULL,
    -- The last name that was looked at.
    last_name text COLLATE "C" NOT NULL,
    error text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT storage_tasks_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT storage_tasks_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);
