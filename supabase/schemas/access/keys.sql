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
  perform leadpipe.record_audit(p ->> 'by', 'key.created', v_key.name, jsonb_build_object('rights', v_key.rights));
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
  perform leadpipe.record_audit(p ->> 'by', 'key.revoked', v_key.name);
  return leadpipe.admin_key_document(v_key);
end
$$;
revoke all on function public.revoke_admin_key(jsonb) from public, anon, authenticated;
grant execute on function public.revoke_admin_key(jsonb) to leadpipe_admin, service_role;
