-- Keys and sessions of the admin interface. Every admin function begins with `p := leadpipe.authorize(p, …)`, which
-- identifies the caller by `auth` and checks its rights. A call without `auth` comes from the operator, who is
-- authenticated by the database login. An error meant for the client has an SQLSTATE that consists of LP and the HTTP
-- status. Its message is the error's code, and its detail is a JSON object with the arguments of the error's text. For
-- LP400 the argument `field` names the invalid field. The texts are in Sources/Contract/ProblemCode.swift and
-- Sources/Forms/FieldCode.swift.

create table public.admin_keys (
  id uuid constraint admin_keys_pkey primary key default leadpipe.uuid_v7(),
  name text not null,
  rights text not null
    constraint admin_keys_rights_check check (rights in ('read', 'write', 'owner')),
  sha256 bytea not null constraint admin_keys_sha256_key unique,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz,
  agent_id uuid constraint admin_keys_agent_id_fkey references public.agents (id) on delete set null,
  expires_at timestamptz
);
-- The name of a revoked key can be reused: in a timeline, name and time together identify the key.
create unique index admin_keys_name_key on public.admin_keys (name) where revoked_at is null;
select leadpipe.protect_table('public.admin_keys');
-- Panel administrators cannot read this table.
revoke select on public.admin_keys from authenticated;
comment on table public.admin_keys is 'Keys to the admin interface, in addition to ADMIN_API_KEY. Only their SHA-256 is stored.';
comment on column public.admin_keys.last_used_at is 'Updated at most once a minute.';
comment on column public.admin_keys.agent_id is 'The agent who uses the key; null if it is no agent''s.';
comment on column public.admin_keys.expires_at is 'The time from which the key is refused; null if it does not expire.';

create table public.admin_sessions (
  sha256 bytea constraint admin_sessions_pkey primary key,
  key_id uuid constraint admin_sessions_key_id_fkey references public.admin_keys (id) on delete cascade,
  configured_sha256 bytea,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '12 hours',
  supabase_user jsonb
);
create index admin_sessions_expires_at_idx on public.admin_sessions (expires_at);
select leadpipe.protect_table('public.admin_sessions');
-- Panel administrators cannot read this table.
revoke select on public.admin_sessions from authenticated;
comment on table public.admin_sessions is 'Sessions of browsers that have presented a key or an access token. A session ends at logout, at its expiry time, or when its key is revoked.';
comment on column public.admin_sessions.sha256 is 'SHA-256 of the token. Only the browser has the token itself.';
comment on column public.admin_sessions.configured_sha256 is 'SHA-256 of the ADMIN_API_KEY that opened the session; null if the key in key_id opened it.';
comment on column public.admin_sessions.supabase_user is 'The user of Supabase Auth whose access token opened the session: id, name, rights and expiresAt; null if a key opened it.';

-- Links of `leadpipe login`, in schema leadpipe, because other programs may have a table of this name in public.
create table leadpipe.admin_logins (
  sha256 bytea constraint admin_logins_pkey primary key,
  key_id uuid constraint admin_logins_key_id_fkey references public.admin_keys (id) on delete cascade,
  expires_at timestamptz not null
);
create index admin_logins_expires_at_idx on leadpipe.admin_logins (expires_at);
revoke all on table leadpipe.admin_logins from public, anon, authenticated, service_role;
comment on table leadpipe.admin_logins is 'Tokens of log-in links. Each opens one session, and is deleted with that. Only their SHA-256 is stored.';
comment on column leadpipe.admin_logins.key_id is 'The key for which the session is opened; null for ADMIN_API_KEY.';
