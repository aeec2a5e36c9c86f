-- Lets the notifications of a lead that was kept aside as a robot's be sent. The event of its capture, with `p_facts` in its
-- payload, is planned as one of now: its deliveries are tried for as long as those of any new event. An event that has
-- deliveries keeps them: those that were cancelled when the lead was marked as spam are due again. The caller has locked
-- the conversation; a deadlock with an erasure, which locks the events first, is repeated.
create or replace function leadpipe.release_spam(p_conversation uuid, p_facts jsonb default '{}') returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_events uuid[];
begin
  update leadpipe.unsent_leads u set created_at = v_now, payload = u.payload || p_facts
  where u.conversation_id = p_conversation and u.planned_at is null;
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is null or to_regclass('public.notification_logs') is null then
    return;
  end if;
  update public.lead_events e set planned_at = null, processed = false, processed_at = null, created_at = v_now, updated_at = v_now,
    payload = e.payload || p_facts,
    -- As an event of now: the live feed shows it, and the automatic assignment reads it.
    xact = pg_current_xact_id(), seq = nextval('public.lead_events_seq')
  where e.conversation_id = p_conversation and e.event_type = 'lead.created' and e.planned_at is not null and not e.payload ? 'erased'
    and not exists (select from public.notification_logs d where d.lead_event_id = e.id);
  -- Warnings about the former deadline are not sent any more.
  v_events := array(
    select e.id from public.lead_events e
    where e.conversation_id = p_conversation and e.event_type in ('lead.created', 'lead.updated', 'lead.qualified') and not e.payload ? 'erased'
    order by e.id for no key update);
  update public.notification_logs d set
    next_attempt_at = v_now, retried_at = v_now, paused_before = leadpipe.paused_seconds(d.channel, v_now)
  where d.lead_event_id = any (v_events) and d.status = 'failed' and d.next_attempt_at is null and not d.to_visitor
    and d.error_message = 'cancelled: the lead was marked as spam';
  perform leadpipe.settle_events(v_events);
end
$$;
revoke all on function leadpipe.release_spam(uuid, jsonb) from public, anon, authenticated;
