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
