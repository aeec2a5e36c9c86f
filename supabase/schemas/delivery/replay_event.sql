-- Sends the finished notifications of an event once more, as new rows that are linked to the first. Raises LP404 if the
-- event does not exist, LP409 if none of its notifications is finished.
create or replace function public.replay_event(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_done jsonb;
begin
  p := leadpipe.authorize(p, 'owner');
  if not exists (select from public.lead_events e where e.id = (p ->> 'id')::uuid) then
    raise exception using errcode = 'LP404', message = 'event_not_found';
  end if;
  v_done := public.replay_events(jsonb_build_object('ids', jsonb_build_array(p -> 'id'), 'by', p -> 'by'));
  if v_done -> 'deliveries' = '[]' and v_done -> 'events' = '[]' then
    raise exception using errcode = 'LP409', message = case
      when leadpipe.is_erased((p ->> 'id')::uuid) then 'notification_erased'
      when exists (select from public.notification_logs d where d.lead_event_id = (p ->> 'id')::uuid)
      then 'event_not_finished' else 'event_without_notifications' end;
  end if;
  perform leadpipe.record_audit(p ->> 'by', 'event.replayed', p ->> 'id');
  return jsonb_build_object('id', p -> 'id', 'deliveries', v_done -> 'deliveries');
end
$$;
revoke all on function public.replay_event(jsonb) from public, anon, authenticated;
grant execute on function public.replay_event(jsonb) to leadpipe_admin, service_role;
