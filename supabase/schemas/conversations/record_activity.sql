-- Adds an entry to a conversation's timeline and, if `p_event` is not null, emits this event.
create or replace function leadpipe.record_activity(
  p_conversation uuid, p_by text, p_entry text, p_title text, p_description text default null, p_event text default null,
  p_facts jsonb default '{}') returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform public.add_timeline_entry(p_conversation, p_entry::public.timeline_event_type, p_title, nullif(p_description, ''),
    'agent', null, p_by, p_facts);
  if p_event is not null then
    perform public.emit_lead_event(p_event::public.lead_event_type, p_conversation, p_facts || jsonb_build_object('by', p_by));
  end if;
end
$$;
revoke all on function leadpipe.record_activity(uuid, text, text, text, text, text, jsonb) from public, anon, authenticated;
