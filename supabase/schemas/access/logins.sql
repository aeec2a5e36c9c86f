-- Stores a log-in link, which opens one session within five minutes: for the active key `name`, or for ADMIN_API_KEY
-- without one. `token` is the SHA-256 of the token in the link. Also deletes up to 100 expired links. Raises LP404 if
-- there is no such key.
create or replace function public.create_login(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  k public.admin_keys;
  v_expires timestamptz := clock_timestamp() + interval '5 minutes';
begin
  p := leadpipe.authorize(p, 'owner');
  if p ->> 'name' is not null then
    select * into k from public.admin_keys
    where name = p ->> 'name' and revoked_at is null and (expires_at is null or expires_at > clock_timestamp());
    if not found then
      raise exception using errcode = 'LP404', message = 'key_not_found';
    end if;
  end if;
  delete from leadpipe.admin_logins where sha256 in (
    select sha256 from leadpipe.admin_logins where expires_at < now() order by expires_at limit 100 for update skip locked);
  insert into leadpipe.admin_logins (sha256, key_id, expires_at) values (decode(p ->> 'token', 'hex'), k.id, v_expires);
  perform leadpipe.record_audit(p ->> 'by', 'login.created', coalesce(k.name, 'ADMIN_API_KEY'));
  return jsonb_build_object('name', coalesce(k.name, 'ADMIN_API_KEY'), 'rights', coalesce(k.rights, 'owner'),
    'expiresAt', leadpipe.iso8601(v_expires));
end
$$;
revoke all on function public.create_login(jsonb) from public, anon, authenticated;
grant execute on function public.create_login(jsonb) to leadpipe_admin, service_role;

-- Returns the caller with a log-in link, as admin_identity does, and deletes the link. Raises LP401 if it is unknown,
-- used or expired, or its key is no longer active. Of two calls at once, one waits for the other's lock and finds no row.
create or replace function leadpipe.use_login(p_sha256 text) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_key uuid;
  v_identity jsonb;
begin
  delete from leadpipe.admin_logins where sha256 = decode(p_sha256, 'hex') and expires_at > clock_timestamp() returning key_id into v_key;
  if found then
    v_identity := case when v_key is null then jsonb_build_object('name', 'ADMIN_API_KEY', 'rights', 'owner', 'keyId', null)
      else (select jsonb_build_object('name', k.name, 'rights', k.rights, 'keyId', k.id) from public.admin_keys k
            where k.id = v_key and k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp())) end;
  end if;
  if v_identity is null then
    raise exception using errcode = 'LP401', message = 'key_required';
  end if;
  return v_identity;
end
$$;
revoke all on function leadpipe.use_login(text) from public, anon, authenticated;
