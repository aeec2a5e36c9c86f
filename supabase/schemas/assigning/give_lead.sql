-- Assigns a locked conversation to the first agent of `p_ranking`, which is locked too, by automation: the conversation,
-- its timeline, the decision and the event lead.assigned. `p_is_own`: the event notifies; otherwise a summary reports it.
-- The first response is not affected.
create or replace function leadpipe.give_lead(
  c public.conversations, p_cause text, p_language text, p_ranking jsonb, p_is_own boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_agent constant uuid := p_ranking #>> '{0,agentId}';
  v_name constant text := p_ranking #>> '{0,agentName}';
  v_before text;
  v_reason constant text := leadpipe.ranking_reason(p_ranking);
  v_decision uuid;
  v_facts jsonb;
begin
  if c.assigned_agent_id is not null then
    select a.name into v_before from public.agents a where a.id = c.assigned_agent_id;
  end if;
  update public.conversations s set assigned_agent_id = v_agent where s.id = c.id;
  perform leadpipe.begin_turn(c, v_agent, case when c.assigned_agent_id is null then 0 else 1 end);
  perform leadpipe.move_follow_ups(c, v_agent);
  v_decision := leadpipe.store_decision(c.id, p_cause, v_reason, v_agent, c.assigned_agent_id, jsonb_build_object(
    'agentName', v_name, 'agentNameBefore', v_before, 'language', p_language, 'candidates', p_ranking));
  v_facts := jsonb_strip_nulls(jsonb_build_object('agentId', v_agent, 'agentName', v_name, 'agentIdBefore', c.assigned_agent_id,
    'agentNameBefore', v_before, 'cause', p_cause, 'reason', v_reason));
  perform public.add_timeline_entry(c.id, 'assigned',
    case when v_before is null then 'Assigned to ' || v_name else format('Passed on from %s to %s', v_before, v_name) end,
    'Automatic: ' || case p_cause when 'new' then 'a new lead' when 'overdue' then 'the deadline had passed and no agent had it'
      else 'its agent had not answered in time' end || '. ' || v_name || ' ' ||
      case v_reason when 'only_one' then 'was the only agent who could take it' when 'not_had' then 'had not had it yet'
        when 'language' then 'speaks its language' when 'area' then 'knows its area' when 'fewest_open' then 'had the fewest open leads'
        else 'had waited longest for a lead' end || '.',
    'system', null, null, v_facts || '{"automatic": true}');
  perform public.emit_lead_event('lead.assigned', c.id, v_facts || jsonb_strip_nulls(jsonb_build_object('automatic', true, 'conversation', c.id,
    'source', c.source, 'customerName', c.customer_name, 'customerPhone', c.customer_phone, 'customerEmail', c.customer_email,
    'customerPhoneExtension', c.metadata -> 'customerPhoneExtension', 'leadScore', c.lead_score, 'leadQuality', c.lead_quality,
    'slaResponseDeadline', leadpipe.iso8601(c.sla_response_deadline), 'isSummedUp', case when not p_is_own then true end)),
    'lead.assigned:' || v_decision);
end
$$;
revoke all on function leadpipe.give_lead(public.conversations, text, text, jsonb, boolean) from public, anon, authenticated;

-- Stores, unless the last decision says the same, why a locked conversation got no agent: it waits for one, or stays with
-- the one it has, which its timeline says.
create or replace function leadpipe.keep_lead(
  c public.conversations, p_cause text, p_reason text, p_language text, p_ranking jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_name text;
begin
  insert into leadpipe.assignment_turns as t (conversation_id, quality, deadline, reason)
  values (c.id, c.lead_quality, c.sla_response_deadline, p_reason)
  on conflict (conversation_id) do update set reason = excluded.reason where t.reason is distinct from excluded.reason;
  if not found then
    return;
  end if;
  select a.name into v_name from public.agents a where a.id = c.assigned_agent_id;
  perform leadpipe.store_decision(c.id, p_cause, p_reason, null, c.assigned_agent_id, jsonb_build_object(
    'agentNameBefore', v_name, 'language', p_language, 'candidates', p_ranking));
  if c.assigned_agent_id is not null then
    perform public.add_timeline_entry(c.id, 'assigned', 'Stays with ' || v_name,
      'Its agent has not answered in time, but ' || case p_reason
        when 'moved_enough' then 'it has been passed on often enough.' else 'no other agent can take it.' end,
      'system', null, null, jsonb_build_object('agentId', c.assigned_agent_id, 'reason', p_reason, 'automatic', true));
  end if;
end
$$;
revoke all on function leadpipe.keep_lead(public.conversations, text, text, text, jsonb) from public, anon, authenticated;
