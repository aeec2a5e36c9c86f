-- Adds an event and returns its id. If the idempotency key was used before, returns the id of the first event.
create or replace function public.emit_lead_event(
  p_event_type public.lead_event_type, p_conversation_id uuid, p_payload jsonb default '{}', p_idempotency_key text default null)
returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_done timestamptz := case when not leadpipe.event_notifies(p_event_type, p_payload) then now() end;
  v_id uuid;
begin
  insert into public.lead_events (event_type, conversation_id, payload, idempotency_key, processed, processed_at, planned_at)
  values (p_event_type, p_conversation_id, coalesce(p_payload, '{}'), p_idempotency_key, v_done is not null, v_done, v_done)
  on conflict (idempotency_key) do nothing
  returning id into v_id;

  if not found then
    select id into v_id from public.lead_events where idempotency_key = p_idempotency_key;
  end if;
  return v_id;
end
$$;
revoke all on function public.emit_lead_event(public.lead_event_type, uuid, jsonb, text) from public, anon, authenticated;
grant execute on function public.emit_lead_event(public.lead_event_type, uuid, jsonb, text) to service_role;
