-- Keys and sessions of the admin interface. An admin function begins with `p := leadpipe.authorize(p, …)`, which looks
-- up the caller named in `auth` and checks its right. A call without `auth` comes from the operator, whose database
-- login is the proof. An error that a client may see has an SQLSTATE of ours: LP and the HTTP
-- status. Its message is the code of the error, and its detail holds the arguments of the error's text as JSON. With LP400
-- the argument `field` names the field of the request. The texts are in Sources/Contract/ProblemCode.swift and
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
-- A name may be used again once its key is revoked: in a timeline, name and time together identify the key.
create unique index if not exists admin_keys_name_key on public.admin_keys (name) where revoked_at is null;
select leadpipe.protect_table('public.admin_keys');
-- Not even an administrator of the panel reads it.
revoke select on public.admin_keys from authenticated;
comment on table public.admin_keys is 'Keys to the admin interface beside ADMIN_API_KEY. Only their SHA-256 is stored.';
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
-- Not even an administrator of the panel reads it.
revoke select on public.admin_sessions from authenticated;
comment on table public.admin_sessions is 'Sessions of browsers that have presented a key. A session ends with log-out, with its time, and with its key.';
comment on column public.admin_sessions.sha256 is 'The SHA-256 of the token, which only the browser has.';
comment on column public.admin_sessions.configured_sha256 is 'The SHA-256 of the ADMIN_API_KEY that opened it; null where key_id did.';

-- The caller: {name, rights, keyId, expiresAt}. LP401 where it is unknown. `auth` is one of
--   {"configured": "<sha256>"}                       ADMIN_API_KEY, which the handler has compared itself
--   {"key": "<sha256>"}                              a key of admin_keys
--   {"session": "<sha256>", "configured": "<sha256>"}   a session; configured is what ADMIN_API_KEY is now
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
    -- A transaction that has the row locked stores the same: nobody waits.
    update public.admin_keys set last_used_at = now()
    where id = (select id from public.admin_keys
                where id = v_key and (last_used_at is null or last_used_at < now() - interval '1 minute') for no key update skip locked);
  end if;
  return v_identity;
end
$$;
revoke all on function leadpipe.admin_identity(jsonb) from public, anon, authenticated;

-- The argument of an admin function without `auth` and with `by`, the caller's name. LP401 for an unknown caller, LP403
-- without the right.
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

-- A key as the operator sees it.
create or replace function leadpipe.admin_key_document(k public.admin_keys) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('name', k.name, 'rights', k.rights, 'createdAt', leadpipe.iso8601(k.created_at),
    'lastUsedAt', leadpipe.iso8601(k.last_used_at), 'revokedAt', leadpipe.iso8601(k.revoked_at))
$$;
revoke all on function leadpipe.admin_key_document(public.admin_keys) from public, anon, authenticated;

-- Stores a key by its SHA-256. LP409 where the name is taken or reserved.
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

-- All keys, also the revoked ones.
create or replace function public.list_admin_keys(p jsonb default '{}') returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('keys', coalesce(jsonb_agg(leadpipe.admin_key_document(k) order by k.created_at, k.id), '[]'))
  from public.admin_keys k
$$;
revoke all on function public.list_admin_keys(jsonb) from public, anon, authenticated;
grant execute on function public.list_admin_keys(jsonb) to leadpipe_admin, service_role;

-- Revokes a key and ends its sessions. LP404 where no key has this name.
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

-- Who calls: name, rights and, for a session, when it expires.
create or replace function public.show_session(p jsonb) returns jsonb
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select case when p ? 'auth' then leadpipe.admin_identity(p -> 'auth') - 'keyId' else '{"name": "operator", "rights": "owner"}' end
$$;
revoke all on function public.show_session(jsonb) from public, anon, authenticated;
grant execute on function public.show_session(jsonb) to leadpipe_admin, service_role;

-- Opens a session for the key in `auth`. `token` is the SHA-256 of the token that the browser gets. Expired sessions
-- are deleted.
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
