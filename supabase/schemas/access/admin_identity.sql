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
