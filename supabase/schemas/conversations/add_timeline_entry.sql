-- Adds an entry to a conversation's timeline, and returns its id.
create or replace function public.add_timeline_entry(
  p_conversation_id uuid, p_event_type public.timeline_event_type, p_title text, p_description text default null,
  p_actor_type text default 'system', p_actor_id uuid default null, p_actor_name text default null, p_metadata jsonb default '{}')
returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
begin
  insert into public.conversation_timeline
    (conversation_id, event_type, title, description, actor_type, actor_id, actor_name, metadata)
  values (p_conversation_id, p_event_type, p_title, p_description, p_actor_type, p_actor_id, p_actor_name, coalesce(p_metadata, '{}'))
  returning id into v_id;
  return v_id;
end
$$;
revoke all on function public.add_timeline_entry(uuid, public.timeline_event_type, text, text, text, uuid, text, jsonb) from public, anon, authenticated;
grant execute on function public.add_timeline_entry(uuid, public.timeline_event_type, text, text, text, uuid, text, jsonb) to service_role;
