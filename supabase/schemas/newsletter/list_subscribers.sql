-- Returns a subscriber as shown in the admin interface.
create or replace function leadpipe.subscriber_document(s public.newsletter_subscribers) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', s.id, 'email', s.email, 'status', s.status, 'source', s.source,
    'subscribedAt', leadpipe.iso8601(s.subscribed_at), 'unsubscribedAt', leadpipe.iso8601(s.unsubscribed_at))
$$;
revoke all on function leadpipe.subscriber_document(public.newsletter_subscribers) from public, anon, authenticated;

-- Lists subscribers, newest first, filtered by `status` and `query`, a part of the address. Those that were kept aside as
-- spam are listed only on request.
create or replace function public.list_subscribers(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
declare
  v_page record;
  v_place jsonb;
  v_statuses text[];
  v_part text;
  v_found uuid[];
begin
  p := leadpipe.authorize(p, 'read');
  select * into v_page from leadpipe.page_bounds(p);
  v_place := leadpipe.cursor_position('subscribers', p ->> 'cursor');
  v_statuses := case when p ->> 'status' is null then '{active,unsubscribed}' else array[p ->> 'status'] end;
  v_part := lower(p ->> 'query');
  v_found := array(
    select s.id from public.newsletter_subscribers s
    where s.status = any (v_statuses)
      and (v_part is null or position(v_part in lower(s.email)) > 0)
      and (v_place is null or (s.subscribed_at, s.id) < ((v_place ->> 'at')::timestamptz, (v_place ->> 'id')::uuid))
    order by s.subscribed_at desc, s.id desc limit v_page.size + 1 offset v_page.skip);
  return leadpipe.page_info(p,
      case when v_place is null then (
        select count(*) from public.newsletter_subscribers s
        where s.status = any (v_statuses) and (v_part is null or position(v_part in lower(s.email)) > 0)) end,
      (select leadpipe.row_cursor('subscribers', s.subscribed_at, s.id) from public.newsletter_subscribers s
       where s.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(leadpipe.subscriber_document(s) order by s.subscribed_at desc, s.id desc), '[]')
      from public.newsletter_subscribers s where s.id = any (v_found[:v_page.size])));
end
$$;
revoke all on function public.list_subscribers(jsonb) from public, anon, authenticated;
grant execute on function public.list_subscribers(jsonb) to leadpipe_admin, service_role;
