-- Cancels those of the deliveries that have not been sent, for the reason given, and returns their events. What another
-- session has locked is being sent or planned, and is left: waiting for it would break the order of locks.
create or replace function leadpipe.cancel_deliveries(p_ids uuid[], p_reason text) returns uuid[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_held uuid[];
  v_ids uuid[];
  v_events uuid[];
begin
  v_held := array(
    select e.id from public.lead_events e
    where e.id in (select d.lead_event_id from public.notification_logs d where d.id = any (p_ids))
    order by e.id for no key update skip locked);
  v_ids := array(
    select d.id from public.notification_logs d
    where d.id = any (p_ids) and d.lead_event_id = any (v_held) and d.due_at is not null and d.status <> 'sending'
    order by d.id for no key update skip locked);
  with cancelled as (
    update public.notification_logs d set
      status = 'failed', outcome_class = 'permanent', error_message = p_reason, next_attempt_at = null, lease_until = null,
      leased_by = null, fence = d.fence + 1, updated_at = clock_timestamp()
    where d.id = any (v_ids) returning d.lead_event_id)
  select coalesce(array_agg(distinct lead_event_id), '{}') into v_events from cancelled;
  perform leadpipe.settle_events(v_events);
  return v_events;
end
$$;
revoke all on function leadpipe.cancel_deliveries(uuid[], text) from public, anon, authenticated;
