-- Returns the caller's name, its rights, its agent and, for a session, the expiry time.
create or replace function public.show_session(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_identity jsonb := case when p ? 'auth' then leadpipe.admin_identity(p -> 'auth') else '{"name": "operator", "rights": "owner"}' end;
begin
  return v_identity - 'keyId' || jsonb_build_object('agent', leadpipe.key_agent((v_identity ->> 'keyId')::uuid));
end
$$;
revoke all on function public.show_session(jsonb) from public, anon, authenticated;
grant execute on function public.show_session(jsonb) to leadpipe_admin, service_role;

-- Opens a session for the key in `auth`, for that of the log-in link `auth.login`, or for the user in `auth.user`. `token`
-- is the SHA-256 of the token that the browser receives. The session ends with its key or the user's access token, at the
-- latest after 12 hours. Also deletes up to 100 expired sessions.
create or replace function public.open_session(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_identity jsonb := case when p -> 'auth' ? 'login' then leadpipe.use_login(p #>> '{auth,login}') else leadpipe.admin_identity(p -> 'auth') end;
  v_expires timestamptz;
begin
  -- A session opens no other one: it would have the rights of ADMIN_API_KEY.
  if p -> 'auth' ? 'session' then
    raise exception using errcode = 'LP401', message = 'key_required';
  end if;
  delete from public.admin_sessions where sha256 in (
    select sha256 from public.admin_sessions where expires_at < now() order by expires_at limit 100 for update skip locked);
  insert into public.admin_sessions (sha256, key_id, configured_sha256, supabase_user, expires_at)
  values (decode(p ->> 'token', 'hex'), (v_identity ->> 'keyId')::uuid,
    case when v_identity ->> 'keyId' is null then decode(p #>> '{auth,configured}', 'hex') end, p #> '{auth,user}',
    least(now() + interval '12 hours', (v_identity ->> 'expiresAt')::timestamptz,
      (select k.expires_at from public.admin_keys k where k.id = (v_identity ->> 'keyId')::uuid)))
  returning expires_at into v_expires;
  -- A token is accepted for some seconds after its end, but a session would be over at once.
  if v_expires <= clock_timestamp() then
    raise exception using errcode = 'LP401', message = 'key_required';
  end if;
  return v_identity - 'keyId' || jsonb_build_object('expiresAt', leadpipe.iso8601(v_expires),
    'agent', leadpipe.key_agent((v_identity ->> 'keyId')::uuid));
end
$$;
revoke all on function public.open_session(jsonb) from public, anon, authenticated;
grant execute on function public.open_session(jsonb) to leadpipe_admin, service_role;

-- Ends the session in `auth`, also that of a user who has no rights any more.
create or replace function public.close_session(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  begin
    perform leadpipe.admin_identity(p -> 'auth');
  exception when sqlstate 'LP403' then null;
  end;
  delete from public.admin_sessions where sha256 = decode(p #>> '{auth,session}', 'hex');
  return '{}';
end
$$;
revoke all on function public.close_session(jsonb) from public, anon, authenticated;
grant execute on function public.close_session(jsonb) to leadpipe_admin, service_role;
