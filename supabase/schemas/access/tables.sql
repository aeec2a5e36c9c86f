-- Keys and sessions of the admin interface. An admin function begins with `p := leadpipe.authorize(p, …)`, which looks
-- up the caller named in `auth` and checks its right. A call without `auth` comes from the operator, whose database
-- login is the proof. An error that a client may see has an SQLSTATE of ours: LP and the HTTP
-- status. Its message is the code of the error, and its detail holds the arguments of the error's text as JSON. With LP400
-- the argument `field` names the field of the request. The texts are in Sources/Contract/ProblemCode.swift and
-- Sources/Forms/FieldCode.swift.

create table public.admin_keys (
  id uuid constraint admin_keys_pkey primary key default gen_random_uuid(),
  name text not null,
  rights text not null
    constraint admin_keys_rights_check check (rights in ('read', 'write', 'owner')),
  sha256 bytea not null constraint admin_keys_sha256_key unique,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz
);
-- A name may be used again once its key is revoked: in a timeline, name and time together identify the key.
create unique index admin_keys_name_key on public.admin_keys (name) where revoked_at is null;
select leadpipe.protect_table('public.admin_keys');
-- Not even an administrator of the panel reads it.
revoke select on public.admin_keys from authenticated;
comment on table public.admin_keys is 'Keys to the admin interface beside ADMIN_API_KEY. Only their SHA-256 is stored.';
comment on column public.admin_keys.last_used_at is 'Updated at most once a minute.';

create table public.admin_sessions (
  sha256 bytea constraint admin_sessions_pkey primary key,
  key_id uuid constraint admin_sessions_key_id_fkey references public.admin_keys (id) on delete cascade,
  configured_sha256 bytea,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '12 hours'
);
create index admin_sessions_expires_at_idx on public.admin_sessions (expires_at);
select leadpipe.protect_table('public.admin_sessions');
-- Not even an administrator of the panel reads it.
revoke select on public.admin_sessions from authenticated;
comment on table public.admin_sessions is 'Sessions of browsers that have presented a key. A session ends with log-out, with its time, and with its key.';
comment on column public.admin_sessions.sha256 is 'The SHA-256 of the token, which only the browser has.';
comment on column public.admin_sessions.configured_sha256 is 'The SHA-256 of the ADMIN_API_KEY that opened it; null where key_id did.';
