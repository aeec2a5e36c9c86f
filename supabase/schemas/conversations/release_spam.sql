-- Lets the notifications of a lead that was kept aside as a robot's be planned. The event of its capture is planned as any
-- new one, once: an event that has deliveries is left alone. The caller has locked the conversation.
create or replace function leadpipe.release_spam(p_conversation uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is null or to_regclass('public.notification_logs') is null then
    return;
  end if;
  update public.lead_events e set planned_at = null, processed = false, processed_at = null, updated_at = clock_timestamp(),
    -- As an event of now: the live feed shows it, and the automatic assignment reads it.
    xact = pg_current_xact_id(), seq = nextval('public.lead_events_seq')
  where e.conversation_id = p_conversation and e.event_type = 'lead.created' and e.planned_at is not null and not e.payload ? 'erased'
    and not exists (select from public.notification_logs d where d.lead_event_id = e.id);
end
$$;
revoke all on function leadpipe.release_spam(uuid) from public, anon, authenticated;
