-- Makes one failed delivery due immediately. Raises LP404 if it does not exist, LP409 if there is nothing to retry.
create or replace function public.retry_delivery(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_done jsonb;
  v_state text;
begin
  p := leadpipe.authorize(p, 'write');
  v_done := public.retry_deliveries(jsonb_build_object('ids', jsonb_build_array(p -> 'id'), 'by', p -> 'by'));
  if v_done #> '{deliveries,0}' is not null then
    return v_done #> '{deliveries,0}';
  end if;
  v_state := v_done #>> '{refused,0,status}';
  if v_state = 'none' then
    raise exception using errcode = 'LP404', message = 'notification_not_found';
  end if;
  raise exception using errcode = 'LP409', message = case
    when v_state in ('sent', 'delivered') then 'notification_sent'
    when v_state = 'sending' then 'notification_sending'
    when (select leadpipe.is_erased(d.lead_event_id) from public.notification_logs d where d.id = (p ->> 'id')::uuid) then 'notification_erased'
    when (select leadpipe.is_spam(d.conversation_id) from public.notification_logs d where d.id = (p ->> 'id')::uuid) then 'notification_of_spam'
    when (select d.to_visitor and d.next_attempt_at is null from public.notification_logs d where d.id = (p ->> 'id')::uuid) then 'receipt_final'
    else 'notification_due' end;
end
$$;
revoke all on function public.retry_delivery(jsonb) from public, anon, authenticated;
grant execute on function public.retry_delivery(jsonb) to leadpipe_admin, service_role;
