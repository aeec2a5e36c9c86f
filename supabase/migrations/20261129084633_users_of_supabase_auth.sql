-- Generated from schemas/ by `make migration`. This file can run again at any time.

alter table public.admin_sessions add column if not exists supabase_user jsonb;

-- Returns the caller: {name, rights, keyId, expiresAt}. Raises LP401 if the caller is unknown. `auth` is one of
--   {"configured": "<sha256>"}                          ADMIN_API_KEY, already verified by the handler
--   {"key": "<sha256>"}                                 a key in admin_keys
--   {"session": "<sha256>", "configured": "<sha256>"}   a session; configured is the hash of the current ADMIN_API_KEY
--   {"user": {"id", "name", "rights", "expiresAt"}}     a user of Supabase Auth, already verified by the handler
create or replace function leadpipe.admin_identity(p_auth jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_identity jsonb;
  v_key uuid;
begin
  if p_auth ? 'key' then
    select id, jsonb_build_object('name', name, 'rights', rights, 'keyId', id) into v_key, v_identity
    from public.admin_keys where sha256 = decode(p_auth ->> 'key', 'hex') and revoked_at is null
      and (expires_at is null or expires_at > clock_timestamp());
  elsif p_auth ? 'user' then
    v_identity := leadpipe.user_identity(p_auth -> 'user');
  elsif p_auth ? 'session' then
    select k.id, case when s.supabase_user is null
        then jsonb_build_object('name', coalesce(k.name, 'ADMIN_API_KEY'), 'rights', coalesce(k.rights, 'owner'), 'keyId', k.id)
        else leadpipe.user_identity(s.supabase_user) end || jsonb_build_object('expiresAt', leadpipe.iso8601(s.expires_at))
    into v_key, v_identity
    from public.admin_sessions s left join public.admin_keys k on k.id = s.key_id
    where s.sha256 = decode(p_auth ->> 'session', 'hex') and s.expires_at > clock_timestamp()
      and case when s.supabase_user is not null then true
        when s.key_id is null then s.configured_sha256 = decode(p_auth ->> 'configured', 'hex')
        else k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp()) end;
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

-- Opens a session for the key in `auth`, for that of the log-in link `auth.login`, or for the user in `auth.user`. `token`
-- is the SHA-256 of the token that the browser receives. The session ends with its key or the user's access token, at the
-- latest after 12 hours. Also deletes up to 100 expired sessions.
create or replace function public.open_session(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_identity jsonb := case when p -> 'auth' ? 'login' then leadpipe.use_login(p #>> '{auth,login}') else leadpipe.admin_identity(p -> 'auth') end;
  v_expires timestamptz;
begin
  delete from public.admin_sessions where sha256 in (
    select sha256 from public.admin_sessions where expires_at < now() order by expires_at limit 100 for update skip locked);
  insert into public.admin_sessions (sha256, key_id, configured_sha256, supabase_user, expires_at)
  values (decode(p ->> 'token', 'hex'), (v_identity ->> 'keyId')::uuid,
    case when v_identity ->> 'keyId' is null then decode(p #>> '{auth,configured}', 'hex') end, p #> '{auth,user}',
    least(now() + interval '12 hours', (v_identity ->> 'expiresAt')::timestamptz,
      (select k.expires_at from public.admin_keys k where k.id = (v_identity ->> 'keyId')::uuid)))
  returning expires_at into v_expires;
  return v_identity - 'keyId' || jsonb_build_object('expiresAt', leadpipe.iso8601(v_expires),
    'agent', leadpipe.key_agent((v_identity ->> 'keyId')::uuid));
end
$$;

revoke all on function public.open_session(jsonb) from public, anon, authenticated;

grant execute on function public.open_session(jsonb) to leadpipe_admin, service_role;

-- Returns a user of Supabase Auth as a caller, like admin_identity. `p_user` is {id, name, rights, expiresAt}. Without
-- rights of its own, a user with the role admin in user_roles has all rights. Raises LP403 for every other user.
create or replace function leadpipe.user_identity(p_user jsonb) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_rights text := coalesce(p_user ->> 'rights',
    case when public.has_role((p_user ->> 'id')::uuid, 'admin'::public.app_role) then 'owner' end);
begin
  if v_rights is null then
    raise exception using errcode = 'LP403', message = 'user_without_rights';
  end if;
  return jsonb_strip_nulls(jsonb_build_object('name', p_user -> 'name', 'rights', v_rights, 'expiresAt', p_user -> 'expiresAt'))
    || '{"keyId": null}';
end
$$;

revoke all on function leadpipe.user_identity(jsonb) from public, anon, authenticated;

comment on column public.admin_sessions.supabase_user is 'The user of Supabase Auth whose access token opened the session: id, name, rights and expiresAt; null if a key opened it.';

comment on table public.admin_sessions is 'Sessions of browsers that have presented a key or an access token. A session ends at logout, at its expiry time, or when its key is revoked.';
