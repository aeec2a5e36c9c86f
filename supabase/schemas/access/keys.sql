-- Returns a key as shown to owners and to the operator.
create or replace function leadpipe.admin_key_document(k public.admin_keys) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', k.id, 'name', k.name, 'rights', k.rights, 'agent', leadpipe.key_agent(k.id),
    'createdAt', leadpipe.iso8601(k.created_at), 'lastUsedAt', leadpipe.iso8601(k.last_used_at),
    'expiresAt', leadpipe.iso8601(k.expires_at), 'revokedAt', leadpipe.iso8601(k.revoked_at))
$$;
revoke all on function leadpipe.admin_key_document(public.admin_keys) from public, anon, authenticated;

-- Creates a key. Only its SHA-256 is stored. Raises LP409 if the name is in use or reserved, LP404 if there is no agent
-- `agentId`, LP400 if `expiresAt` is past.
create or replace function public.create_admin_key(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
  v_key public.admin_keys;
begin
  p := leadpipe.authorize(p, 'owner');
  if lower(p ->> 'name') in ('admin_api_key', 'operator', 'system') then
    raise exception using errcode = 'LP409', message = 'key_name_reserved';
  elsif (p ->> 'expiresAt')::timestamptz <= clock_timestamp() then
    raise exception using errcode = 'LP400', message = 'in_the_past', detail = '{"field": "expiresAt"}';
  end if;
  if p ->> 'agentId' is not null then
    a := leadpipe.lock_agent((p ->> 'agentId')::uuid);
  end if;
  insert into public.admin_keys (name, rights, sha256, agent_id, expires_at)
  values (p ->> 'name', p ->> 'rights', decode(p ->> 'sha256', 'hex'), a.id, (p ->> 'expiresAt')::timestamptz) returning * into v_key;
  perform leadpipe.record_audit(p ->> 'by', 'key.created', v_key.name,
    jsonb_strip_nulls(jsonb_build_object('rights', v_key.rights, 'agentId', v_key.agent_id)));
  return leadpipe.admin_key_document(v_key);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'key_name_taken';
end
$$;
revoke all on function public.create_admin_key(jsonb) from public, anon, authenticated;
grant execute on function public.create_admin_key(jsonb) to leadpipe_admin, service_role;

-- Lists all keys, including revoked ones. `current` is the id of the caller's key, if it has one.
create or replace function public.list_admin_keys(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_current jsonb := case when p ? 'auth' then leadpipe.admin_identity(p -> 'auth') -> 'keyId' end;
begin
  p := leadpipe.authorize(p, 'owner');
  return (
    select jsonb_build_object('current', v_current,
      'keys', coalesce(jsonb_agg(leadpipe.admin_key_document(k) order by k.created_at, k.id), '[]'))
    from public.admin_keys k);
end
$$;
revoke all on function public.list_admin_keys(jsonb) from public, anon, authenticated;
grant execute on function public.list_admin_keys(jsonb) to leadpipe_admin, service_role;

-- Revokes the key with this `id` or `name`, and ends its sessions. Raises LP404 if there is no such active key, LP409 if
-- it is the caller's own and no other owner's key is active.
create or replace function public.revoke_admin_key(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_caller uuid;
  v_key public.admin_keys;
begin
  if p ? 'auth' then
    -- Two owners at once: each waits here, and then sees what the other has done. Locked before authorize updates one of
    -- them, and in the same order, so that they do not wait for each other.
    perform from public.admin_keys where rights = 'owner' and revoked_at is null order by id for no key update;
    v_caller := leadpipe.admin_identity(p -> 'auth') ->> 'keyId';
  end if;
  p := leadpipe.authorize(p, 'owner');
  select * into v_key from public.admin_keys k
  where k.revoked_at is null and case when p ? 'id' then k.id = (p ->> 'id')::uuid else k.name = p ->> 'name' end for no key update;
  if not found then
    raise exception using errcode = 'LP404', message = 'key_not_found';
  elsif v_key.id = v_caller and not exists (
    select from public.admin_keys k where k.rights = 'owner' and k.revoked_at is null and k.id <> v_caller
      and (k.expires_at is null or k.expires_at > clock_timestamp())) then
    raise exception using errcode = 'LP409', message = 'last_owner_key';
  end if;
  update public.admin_keys set revoked_at = clock_timestamp() where id = v_key.id returning * into v_key;
  delete from public.admin_sessions where key_id = v_key.id;
  delete from leadpipe.admin_logins where key_id = v_key.id;
  perform leadpipe.record_audit(p ->> 'by', 'key.revoked', v_key.name);
  return leadpipe.admin_key_document(v_key);
end
$$;
revoke all on function public.revoke_admin_key(jsonb) from public, anon, authenticated;
grant execute on function public.revoke_admin_key(jsonb) to leadpipe_admin, service_role;
