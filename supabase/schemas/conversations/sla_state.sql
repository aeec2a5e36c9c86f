-- Returns the SLA state of a conversation: met, breached, warning or ok. `p -> warnBefore` has a time for each quality;
-- a deadline at or before this time is in state warning. A conversation that was closed without a response is breached
-- only if its deadline had passed before.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.sla_state(c public.conversations, p jsonb) returns text
language sql stable as $$
  select case
    when c.first_response_at is not null then
      case when c.first_response_at > c.sla_response_deadline then 'breached' else 'met' end
    when c.status in ('completed', 'lost', 'converted') then case when c.sla_breached then 'breached' else 'ok' end
    when c.sla_response_deadline <= now() then 'breached'
    when c.sla_response_deadline <= (p #>> array['warnBefore', c.lead_quality])::timestamptz then 'warning'
    else 'ok' end
$$;
revoke all on function leadpipe.sla_state(public.conversations, jsonb) from public, anon, authenticated;
