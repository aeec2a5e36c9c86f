-- Returns the earliest deadline of open conversations without a first response whose breach has not been emitted: of
-- those that have been warned of it, or of those that have not. Null if there is none.
create or replace function leadpipe.next_deadline(p_is_warned boolean, p_quality text) returns timestamptz
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- The conditions match the index conversations_sla_due_idx.
  return (
    select c.sla_response_deadline from public.conversations c
    where c.first_response_at is null and c.status not in ('completed', 'lost', 'converted') and not c.sla_breached
      and coalesce(c.sla_warned_for = c.sla_response_deadline, false) = p_is_warned and c.lead_quality = p_quality
      and c.sla_response_deadline > c.created_at
    order by c.sla_response_deadline limit 1);
end
$$;
revoke all on function leadpipe.next_deadline(boolean, text) from public, anon, authenticated;
