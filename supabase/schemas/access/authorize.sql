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
