-- Returns the conditions of a search on a row `t` of conversations, as SQL; $1 is the search. The SQL is made of
-- constant strings only.
create or replace function leadpipe.search_conditions(f leadpipe.conversation_search) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  -- Among the agents, this id stands for none.
  c_nobody constant uuid := '00000000-0000-0000-0000-000000000000';
  c_warn constant text :=
    'case t.lead_quality when ''hot'' then ($1).warn_hot when ''warm'' then ($1).warn_warm else ($1).warn_cold end';
begin
  return concat_ws(' and ', 'true',
    -- What is kept aside as a robot's is shown only on request.
    case when f.statuses is not null then 't.status = any (($1).statuses)' else 't.status <> ''spam''' end,
    case when f.qualities is not null then 't.lead_quality = any (($1).qualities)' end,
    case when f.intents is not null then 't.intent = any (($1).intents)' end,
    case when f.areas is not null then 't.preferred_area = any (($1).areas)' end,
    case when c_nobody <> all (f.agents) then 't.assigned_agent_id = any (($1).agents)'
      when cardinality(f.agents) = 1 then 't.assigned_agent_id is null'
      when f.agents is not null then '(t.assigned_agent_id is null or t.assigned_agent_id = any (($1).agents))' end,
    case when f.tags is not null then 't.tags @> ($1).tags' end,
    case when f.sources is not null then 't.source = any (($1).sources)' end,
    case when f.least_score is not null then 't.lead_score between ($1).least_score and ($1).most_score' end,
    case when f.since is not null then 't.created_at >= ($1).since' end,
    case when f.until is not null then 't.created_at < ($1).until' end,
    (select '(' || string_agg(case state
       when 'due-today' then 't.follow_up_date >= ($1).today and t.follow_up_date < ($1).tomorrow'
       when 'overdue' then 't.follow_up_date < ($1).now'
       when 'scheduled' then 't.follow_up_date >= ($1).now' end, ' or ') || ')' from unnest(f.follow_ups) as state),
    -- Same rule as in sla_state.
    (select '(' || string_agg(case state
       when 'met' then 't.first_response_at is not null and (t.first_response_at > t.sla_response_deadline) is not true'
       when 'breached' then 't.first_response_at > t.sla_response_deadline or t.first_response_at is null and '
         'case when t.status in (''completed'', ''lost'', ''converted'') then t.sla_breached else t.sla_response_deadline <= ($1).now end'
       when 'warning' then 't.first_response_at is null and t.status not in (''completed'', ''lost'', ''converted'') '
         'and t.sla_response_deadline > ($1).now and t.sla_response_deadline <= ' || c_warn
         -- Lets the planner use the partial index on open deadlines.
         || ' and t.sla_response_deadline <= greatest(($1).warn_hot, ($1).warn_warm, ($1).warn_cold)'
       when 'ok' then 't.first_response_at is null and case when t.status in (''completed'', ''lost'', ''converted'') then not t.sla_breached '
         'else (t.sla_response_deadline <= ($1).now) is not true and (t.sla_response_deadline <= ' || c_warn || ') is not true end'
       end, ' or ') || ')' from unnest(f.sla_states) as state));
end
$$;
revoke all on function leadpipe.search_conditions(leadpipe.conversation_search) from public, anon, authenticated;
