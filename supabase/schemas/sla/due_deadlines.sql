-- Returns and locks at most `p_most` open conversations without a first response whose deadline is within the range and
-- whose breach has not been emitted: those that have been warned of it, or those that have not. The latest deadlines
-- come first, so that a long backlog does not delay new ones. A deadline before the conversation's creation was
-- calculated with a wrong clock, and is not returned. Conversations that another session has locked are left for a
-- later call.
create or replace function leadpipe.due_deadlines(
  p_is_warned boolean, p_quality text, p_deadlines tstzrange, p_most integer) returns uuid[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- The conditions match the index conversations_sla_due_idx.
  return array(
    select c.id from public.conversations c
    where c.first_response_at is null and c.status not in ('completed', 'lost', 'converted') and not c.sla_breached
      and coalesce(c.sla_warned_for = c.sla_response_deadline, false) = p_is_warned and c.lead_quality = p_quality
      and c.sla_response_deadline > c.created_at
      and c.sla_response_deadline > lower(p_deadlines) and c.sla_response_deadline <= upper(p_deadlines)
    order by c.sla_response_deadline desc limit p_most for no key update skip locked);
end
$$;
revoke all on function leadpipe.due_deadlines(boolean, text, tstzrange, integer) from public, anon, authenticated;
