-- Passwords that users had before, where a tenant lets none of them come back.

CREATE TABLE past_passwords (
    tenant_id bigint NOT NULL,
    user_id uuid NOT NULL,
    -- Grows with each that is put here.
    number bigint NOT NULL,
    -- As it was in `users`.
    hash text NOT NULL,
    CONSTRAINT past_passwords_pkey PRIMARY KEY (tenant_id, user_id, number),
    CONSTRAINT past_passwords_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);
