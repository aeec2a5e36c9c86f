-- Returns open conversations without a first response whose deadline has passed or is near, earliest deadline first.
-- minutes_remaining is negative after the deadline.
create or replace function public.get_sla_breach_candidates(p_warning_minutes integer default 30)
returns table (
  conversation_id uuid, customer_name text, customer_phone text, lead_score integer, lead_quality text,
  assigned_agent_id uuid, sla_response_deadline timestamptz, minutes_remaining integer, is_breached boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select c.id, c.customer_name, c.customer_phone, c.lead_score, c.lead_quality, c.assigned_agent_id, c.sla_response_deadline,
         floor(extract(epoch from c.sla_response_deadline - now()) / 60)::integer, c.sla_response_deadline <= now()
  from public.conversations c
  where c.first_response_at is null
    and c.status not in ('completed', 'lost', 'converted')
    and c.sla_response_deadline <= now() + make_interval(mins => p_warning_minutes)
  order by c.sla_response_deadline
$$;
revoke all on function public.get_sla_breach_candidates(integer) from public, anon, authenticated;
grant execute on function public.get_sla_breach_candidates(integer) to service_role;
