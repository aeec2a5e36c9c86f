-- Returns at most `p_most` overdue conversations without an agent, the hottest first, then the earliest deadline. Those
-- whose deadline was before `p_after`, and those that a person has unassigned since, are not returned.
create or replace function leadpipe.waiting_leads(p_after timestamptz, p_most integer)
returns table (id uuid, quality text, deadline timestamptz)
language plpgsql stable rows 50 set search_path = pg_catalog, pg_temp as $$
declare
  v_quality text;
  v_found bigint;
  v_left integer := p_most;
begin
  foreach v_quality in array '{hot,warm,cold}'::text[] loop
    -- The conditions match the index conversations_waiting_idx.
    return query
      select c.id, c.lead_quality, c.sla_response_deadline from public.conversations c
      where c.sla_breached and c.assigned_agent_id is null and c.first_response_at is null and c.status not in ('completed', 'lost', 'converted')
        and c.lead_quality = v_quality and c.sla_response_deadline > p_after
        and not exists (select from leadpipe.assignment_turns t where t.conversation_id = c.id and t.is_released
                        and t.deadline is not distinct from c.sla_response_deadline)
      order by c.sla_response_deadline limit v_left;
    get diagnostics v_found = row_count;
    v_left := v_left - v_found;
    exit when v_left <= 0;
  end loop;
end
$$;
revoke all on function leadpipe.waiting_leads(timestamptz, integer) from public, anon, authenticated;

-- Returns at most `p_most` new leads that wait for an agent before their deadline, in the same order.
create or replace function leadpipe.queued_leads(p_most integer) returns table (id uuid, quality text, deadline timestamptz)
language plpgsql stable rows 50 set search_path = pg_catalog, pg_temp as $$
declare
  v_quality text;
begin
  foreach v_quality in array '{hot,warm,cold}'::text[] loop
    return query
      select t.conversation_id, t.quality, t.deadline from leadpipe.assignment_turns t
      where t.queued_at is not null and t.quality = v_quality order by t.deadline limit p_most;
  end loop;
end
$$;
revoke all on function leadpipe.queued_leads(integer) from public, anon, authenticated;

-- Returns at most `p_most` conversations whose agents have had the response time: `p_served` has, for each quality, the
-- time before which such a turn began.
create or replace function leadpipe.ended_turns(p_served jsonb, p_most integer) returns table (id uuid, quality text, deadline timestamptz)
language plpgsql stable rows 50 set search_path = pg_catalog, pg_temp as $$
declare
  v_quality text;
begin
  foreach v_quality in array '{hot,warm,cold}'::text[] loop
    return query
      select t.conversation_id, t.quality, t.deadline from leadpipe.assignment_turns t
      where t.since is not null and t.quality = v_quality and t.since <= (p_served ->> v_quality)::timestamptz order by t.since limit p_most;
  end loop;
end
$$;
revoke all on function leadpipe.ended_turns(jsonb, integer) from public, anon, authenticated;
