-- Cancels the reminders of a follow-up that have not been sent, for the reason given. Those that another session has
-- locked are being sent or planned, and are left: waiting for them would break the order of locks. If the follow-up stays
-- or becomes due again, its agent is reminded of it again.
create or replace function leadpipe.cancel_reminders(p_conversation uuid, p_follow_up uuid, p_reason text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_events uuid[];
  v_deliveries uuid[];
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is null or to_regclass('public.notification_logs') is null then
    return;
  end if;
  v_events := array(
    select e.id from public.lead_events e
    where e.conversation_id = p_conversation and e.event_type = 'lead.follow_up_due' and not e.processed
      and e.payload ->> 'followUpId' = p_follow_up::text
    order by e.id for no key update skip locked);
  if v_events = '{}' then
    return;
  end if;
  v_deliveries := array(
    select d.id from public.notification_logs d
    where d.lead_event_id = any (v_events) and d.due_at is not null and d.status <> 'sending'
    order by d.id for no key update skip locked);
  update public.notification_logs d set
    status = 'failed', outcome_class = 'permanent', error_message = p_reason, next_attempt_at = null, lease_until = null,
    leased_by = null, fence = d.fence + 1, updated_at = v_now
  where d.id = any (v_deliveries);
  if v_deliveries <> '{}' then
    update public.lead_events e set idempotency_key = null where e.id = any (v_events);
    update public.follow_up_tasks f set reminded_for = null where f.id = p_follow_up;
  end if;
  perform leadpipe.settle_events(v_events);
end
$$;
revoke all on function leadpipe.cancel_reminders(uuid, uuid, text) from public, anon, authenticated;
