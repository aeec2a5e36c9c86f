-- Lists the audit log, newest first, filtered by `actor`, `action`, `since` and `until`.
create or replace function public.list_audit(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
declare
  v_page record;
  v_place jsonb;
  v_since timestamptz := p ->> 'since';
  v_until timestamptz := p ->> 'until';
  v_found uuid[];
begin
  p := leadpipe.authorize(p, 'owner');
  select * into v_page from leadpipe.page_bounds(p);
  v_place := leadpipe.cursor_position('audit', p ->> 'cursor');
  if v_since >= v_until then
    raise exception using errcode = 'LP400', message = 'not_after', detail = '{"field": "until", "other": "since"}';
  end if;
  v_found := array(
    select a.id from leadpipe.audit_log a
    where (p ->> 'actor' is null or a.actor = p ->> 'actor') and (p ->> 'action' is null or a.action = p ->> 'action')
      and (v_since is null or a.created_at >= v_since) and (v_until is null or a.created_at < v_until)
      and (v_place is null or (a.created_at, a.id) < ((v_place ->> 'at')::timestamptz, (v_place ->> 'id')::uuid))
    order by a.created_at desc, a.id desc limit v_page.size + 1);
  return jsonb_build_object('limit', v_page.size,
    'nextCursor', (select leadpipe.row_cursor('audit', a.created_at, a.id) from leadpipe.audit_log a
      where a.id = v_found[v_page.size] and cardinality(v_found) > v_page.size),
    'data', (select coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'createdAt', leadpipe.iso8601(a.created_at), 'actor', a.actor,
        'action', a.action, 'subject', a.subject, 'details', a.details) order by a.created_at desc, a.id desc), '[]')
      from leadpipe.audit_log a where a.id = any (v_found[:v_page.size])));
end
$$;
revoke all on function public.list_audit(jsonb) from public, anon, authenticated;
grant execute on function public.list_audit(jsonb) to leadpipe_admin, service_role;
