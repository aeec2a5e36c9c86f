-- Cancels the reminders of a follow-up that have not been sent, for the reason given; see cancel_deliveries. If the
-- follow-up stays or becomes due again, its agent is reminded of it again.
create or replace function leadpipe.cancel_reminders(p_conversation uuid, p_follow_up uuid, p_reason text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_events uuid[];
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is null or to_regclass('public.notification_logs') is null then
    return;
  end if;
  v_events := leadpipe.cancel_deliveries(array(
    select d.id from public.lead_events e join public.notification_logs d on d.lead_event_id = e.id
    where e.conversation_id = p_conversation and e.event_type = 'lead.follow_up_due' and not e.processed
      and e.payload ->> 'followUpId' = p_follow_up::text), p_reason);
  if v_events <> '{}' then
    update public.lead_events e set idempotency_key = null where e.id = any (v_events);
    update public.follow_up_tasks f set reminded_for = null where f.id = p_follow_up;
  end if;
end
$$;
revoke all on function leadpipe.cancel_reminders(uuid, uuid, text) from public, anon, authenticated;
