-- Emits an event. Without the event tables, keeps what a notification needs in unsent_leads, if the event notifies, and
-- returns null.
create or replace function leadpipe.emit_or_keep(
  p_type public.lead_event_type, p_conversation uuid, p_payload jsonb, p_key text default null) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if leadpipe.has_events() then
    return public.emit_lead_event(p_type, p_conversation, p_payload, p_key);
  end if;
  if leadpipe.event_notifies(p_type, p_payload) then
    insert into leadpipe.unsent_leads (event_type, conversation_id, payload) values (p_type, p_conversation, p_payload);
  end if;
  return null;
end
$$;
revoke all on function leadpipe.emit_or_keep(public.lead_event_type, uuid, jsonb, text) from public, anon, authenticated;
