-- Keys and sessions of the admin interface. Every admin function begins with `p := leadpipe.authorize(p, …)`, which
-- identifies the caller by `auth` and checks its rights. A call without `auth` comes from the operator, who is
-- authenticated by the database login. An error meant for the client has an SQLSTATE that consists of LP and the HTTP
-- status. Its message is the error's code, and its detail is a JSON object with the arguments of the error's text. For
-- LP400 the argument `field` names the invalid field. The texts are in Sources/Contract/ProblemCode.swift and
-- Sources/Forms/FieldCode.swift.

create table if not exists public.admin_keys (
  id uuid constraint admin_keys_pkey primary key default gen_random_uuid(),
  name text not null,
  rights text not null
    constraint admin_keys_rights_check check (rights in ('read', 'write', 'owner')),
  sha256 bytea not null constraint admin_keys_sha256_key unique,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz
);
-- The name of a revoked key can be reused: in a timeline, name and time together identify the key.
create unique index if not exists admin_keys_name_key on public.admin_keys (name) where revoked_at is null;
select leadpipe.protect_table('public.admin_keys');
-- Panel administrators cannot read this table.
revoke select on public.admin_keys from authenticated;
comment on table public.admin_keys is 'Keys to the admin interface, in addition to ADMIN_API_KEY. Only their SHA-256 is stored.';
comment on column public.admin_keys.last_used_at is 'Updated at most once a minute.';

create table if not exists public.admin_sessions (
  sha256 bytea constraint admin_sessions_pkey primary key,
  key_id uuid constraint admin_sessions_key_id_fkey references public.admin_keys (id) on delete cascade,
  configured_sha256 bytea,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '12 hours'
);
create index if not exists admin_sessions_expires_at_idx on public.admin_sessions (expires_at);
select leadpipe.protect_table('public.admin_sessions');
-- Panel administrators cannot read this table.
revoke select on public.admin_sessions from authenticated;
comment on table public.admin_sessions is 'Sessions of browsers that have presented a key. A session ends at logout, at its expiry time, or when its key is revoked.';
comment on column public.admin_sessions.sha256 is 'SHA-256 of the token. Only the browser has the token itself.';
comment on column public.admin_sessions.configured_sha256 is 'SHA-256 of the ADMIN_API_KEY that opened the session; null if the key in key_id opened it.';

-- Returns the caller: {name, rights, keyId, expiresAt}. Raises LP401 if the caller is unknown. `auth` is one of
--   {"configured": "<sha256>"}                          ADMIN_API_KEY, already verified by the handler
--   {"key": "<sha256>"}                                 a key in admin_keys
--   {"session": "<sha256>", "configured": "<sha256>"}   a session; configured is the hash of the current ADMIN_API_KEY
create or replace function leadpipe.admin_identity(p_auth jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_identity jsonb;
  v_key uuid;
begin
  if p_auth ? 'key' then
    select id, jsonb_build_object('name', name, 'rights', rights, 'keyId', id) into v_key, v_identity
    from public.admin_keys where sha256 = decode(p_auth ->> 'key', 'hex') and revoked_at is null;
  elsif p_auth ? 'session' then
    select k.id, jsonb_build_object('name', coalesce(k.name, 'ADMIN_API_KEY'), 'rights', coalesce(k.rights, 'owner'), 'keyId', k.id,
      'expiresAt', leadpipe.iso8601(s.expires_at))
    into v_key, v_identity
    from public.admin_sessions s left join public.admin_keys k on k.id = s.key_id
    where s.sha256 = decode(p_auth ->> 'session', 'hex') and s.expires_at > clock_timestamp()
      and case when s.key_id is null then s.configured_sha256 = decode(p_auth ->> 'configured', 'hex') else k.revoked_at is null end;
  elsif p_auth ? 'configured' then
    v_identity := jsonb_build_object('name', 'ADMIN_API_KEY', 'rights', 'owner', 'keyId', null);
  end if;
  if v_identity is null then
    raise exception using errcode = 'LP401', message = 'key_required';
  end if;
  if v_key is not null then
    -- Skips a locked row instead of waiting: the transaction that holds the lock stores the same value.
    update public.admin_keys set last_used_at = now()
    where id = (select id from public.admin_keys
                where id = v_key and (last_used_at is null or last_used_at < now() - interval '1 minute') for no key update skip locked);
  end if;
  return v_identity;
end
$$;
revoke all on function leadpipe.admin_identity(jsonb) from public, anon, authenticated;

-- Checks that the caller has `p_right`. Returns the argument of an admin function with `auth` replaced by `by`, the
-- caller's name. Raises LP401 if the caller is unknown, LP403 if it lacks the right. Without `auth`, the caller is the
-- operator.
create or replace function leadpipe.authorize(p jsonb, p_right text) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_identity jsonb;
  v_rights constant text[] := '{read,write,owner}';
begin
  if not p ? 'auth' then
    return p || jsonb_build_object('by', coalesce(p ->> 'by', 'operator'));
  end if;
  v_identity := leadpipe.admin_identity(p -> 'auth');
  if array_position(v_rights, v_identity ->> 'rights') < array_position(v_rights, p_right) then
    raise exception using errcode = 'LP403', message = 'insufficient_rights', detail = jsonb_build_object('rights', v_identity -> 'rights');
  end if;
  return p - 'auth' || jsonb_build_object('by', v_identity ->> 'name');
end
$$;
revoke all on function leadpipe.authorize(jsonb, text) from public, anon, authenticated;

-- Returns a key as shown to the operator.
create or replace function leadpipe.admin_key_document(k public.admin_keys) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('name', k.name, 'rights', k.rights, 'createdAt', leadpipe.iso8601(k.created_at),
    'lastUsedAt', leadpipe.iso8601(k.last_used_at), 'revokedAt', leadpipe.iso8601(k.revoked_at))
$$;
revoke all on function leadpipe.admin_key_document(public.admin_keys) from public, anon, authenticated;

-- Creates a key. Only its SHA-256 is stored. Raises LP409 if the name is in use or reserved.
create or replace function public.create_admin_key(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_key public.admin_keys;
begin
  if lower(p ->> 'name') in ('admin_api_key', 'operator', 'system') then
    raise exception using errcode = 'LP409', message = 'key_name_reserved';
  end if;
  insert into public.admin_keys (name, rights, sha256)
  values (p ->> 'name', p ->> 'rights', decode(p ->> 'sha256', 'hex')) returning * into v_key;
  return leadpipe.admin_key_document(v_key);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'key_name_taken';
end
$$;
revoke all on function public.create_admin_key(jsonb) from public, anon, authenticated;
grant execute on function public.create_admin_key(jsonb) to leadpipe_admin, service_role;

-- Lists all keys, including revoked ones.
create or replace function public.list_admin_keys(p jsonb default '{}') returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('keys', coalesce(jsonb_agg(leadpipe.admin_key_document(k) order by k.created_at, k.id), '[]'))
  from public.admin_keys k
$$;
revoke all on function public.list_admin_keys(jsonb) from public, anon, authenticated;
grant execute on function public.list_admin_keys(jsonb) to leadpipe_admin, service_role;

-- Revokes a key and ends its sessions. Raises LP404 if no active key has this name.
create or replace function public.revoke_admin_key(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_key public.admin_keys;
begin
  update public.admin_keys set revoked_at = clock_timestamp() where name = p ->> 'name' and revoked_at is null returning * into v_key;
  if not found then
    raise exception using errcode = 'LP404', message = 'key_not_found';
  end if;
  delete from public.admin_sessions where key_id = v_key.id;
  return leadpipe.admin_key_document(v_key);
end
$$;
revoke all on function public.revoke_admin_key(jsonb) from public, anon, authenticated;
grant execute on function public.revoke_admin_key(jsonb) to leadpipe_admin, service_role;

-- Returns the caller's name, its rights and, for a session, the expiry time.
create or replace function public.show_session(p jsonb) returns jsonb
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select case when p ? 'auth' then leadpipe.admin_identity(p -> 'auth') - 'keyId' else '{"name": "operator", "rights": "owner"}' end
$$;
revoke all on function public.show_session(jsonb) from public, anon, authenticated;
grant execute on function public.show_session(jsonb) to leadpipe_admin, service_role;

-- Opens a session for the key in `auth`. `token` is the SHA-256 of the token that the browser receives. Also deletes up
-- to 100 expired sessions.
create or replace function public.open_session(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_identity jsonb := leadpipe.admin_identity(p -> 'auth');
  v_expires timestamptz;
begin
  delete from public.admin_sessions where sha256 in (
    select sha256 from public.admin_sessions where expires_at < now() order by expires_at limit 100 for update skip locked);
  insert into public.admin_sessions (sha256, key_id, configured_sha256)
  values (decode(p ->> 'token', 'hex'), (v_identity ->> 'keyId')::uuid,
    case when v_identity ->> 'keyId' is null then decode(p #>> '{auth,configured}', 'hex') end)
  returning expires_at into v_expires;
  return v_identity - 'keyId' || jsonb_build_object('expiresAt', leadpipe.iso8601(v_expires));
end
$$;
revoke all on function public.open_session(jsonb) from public, anon, authenticated;
grant execute on function public.open_session(jsonb) to leadpipe_admin, service_role;

-- Ends the session in `auth`.
create or replace function public.close_session(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform leadpipe.admin_identity(p -> 'auth');
  delete from public.admin_sessions where sha256 = decode(p #>> '{auth,session}', 'hex');
  return '{}';
end
$$;
revoke all on function public.close_session(jsonb) from public, anon, authenticated;
grant execute on function public.close_session(jsonb) to leadpipe_admin, service_role;
