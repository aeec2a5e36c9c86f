-- Stops what is still to be sent about a conversation that a person has moved to spam. What another session has locked is
-- being planned or sent, and is left. The caller has locked the conversation.
create or replace function leadpipe.silence_spam(p_conversation uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is null or to_regclass('public.notification_logs') is null then
    return;
  end if;
  perform leadpipe.cancel_deliveries(array(
    select d.id from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
    where e.conversation_id = p_conversation and not e.processed), 'cancelled: the lead was marked as spam');
  update public.lead_events e set planned_at = clock_timestamp(), processed = true, processed_at = clock_timestamp(),
    updated_at = clock_timestamp()
  where e.id = any (array(
    select n.id from public.lead_events n where n.conversation_id = p_conversation and n.planned_at is null
    order by n.id for no key update skip locked));
end
$$;
revoke all on function leadpipe.silence_spam(uuid) from public, anon, authenticated;
