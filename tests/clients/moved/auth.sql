--
-- What pg_dump writes of a project of Supabase with one user, who is signed in.
--

COPY auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at, id) FROM stdin;
11111111-1111-4111-8111-111111111111	11111111-1111-4111-8111-111111111111	{"sub": "11111111-1111-4111-8111-111111111111", "email": "ada@example.com", "email_verified": true}	email	2024-01-02 03:04:05+00	2024-01-02 03:04:05+00	2024-01-02 03:04:05+00	44444444-4444-4444-8444-444444444444
\.

COPY auth.refresh_tokens (instance_id, id, token, user_id, revoked, created_at, updated_at, parent, session_id) FROM stdin;
00000000-0000-0000-0000-000000000000	1	movedtoken22	11111111-1111-4111-8111-111111111111	f	2024-01-02 03:04:05+00	2024-01-02 03:04:05+00	\N	33333333-3333-4333-8333-333333333333
\.

COPY auth.sessions (id, user_id, created_at, updated_at, factor_id, aal, not_after, refreshed_at, user_agent, ip, tag) FROM stdin;
33333333-3333-4333-8333-333333333333	11111111-1111-4111-8111-111111111111	2024-01-02 03:04:05+00	2024-01-02 03:04:05+00	\N	aal1	\N	\N	Firefox	192.0.2.1	\N
\.

COPY auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data, created_at, updated_at, phone, banned_until, is_anonymous, deleted_at) FROM stdin;
00000000-0000-0000-0000-000000000000	11111111-1111-4111-8111-111111111111	authenticated	authenticated	ada@example.com	$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e	2024-01-02 03:04:05+00	{"provider": "email", "providers": ["email"]}	{"full_name": "Ada"}	2024-01-02 03:04:05+00	2024-01-02 03:04:05+00	\N	\N	f	\N
\.
