-- Stores a decision about a conversation and returns its id. Keeps the latest 20 of the conversation, each with the first
-- 50 of its candidates.
create or replace function leadpipe.store_decision(
  p_conversation uuid, p_cause text, p_reason text, p_agent uuid, p_before uuid, p_facts jsonb) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
begin
  insert into leadpipe.assignment_decisions (conversation_id, cause, reason, agent_id, agent_id_before, facts)
  values (p_conversation, p_cause, p_reason, p_agent, p_before, jsonb_strip_nulls(p_facts - 'candidates') || jsonb_build_object(
    'agents', jsonb_array_length(p_facts -> 'candidates'), 'candidates', jsonb_path_query_array(p_facts, '$.candidates[0 to 49]')))
  returning id into v_id;
  delete from leadpipe.assignment_decisions d where d.id in (
    select o.id from leadpipe.assignment_decisions o where o.conversation_id = p_conversation
    order by o.created_at desc, o.id desc offset 20);
  return v_id;
end
$$;
revoke all on function leadpipe.store_decision(uuid, text, text, uuid, uuid, jsonb) from public, anon, authenticated;
