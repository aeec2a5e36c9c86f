-- Cancels the deliveries to an agent's address that have not been sent, because no agent has it any more. Those that
-- another session has locked are being sent, and are left. The caller has locked the agent.
create or replace function leadpipe.cancel_agent_mail(p_email text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_events uuid[];
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is null or to_regclass('public.notification_logs') is null then
    return;
  end if;
  v_events := array(
    select e.id from public.lead_events e
    where e.id in (
      select d.lead_event_id from public.notification_logs d where d.to_agent and d.due_at is not null and d.recipient = p_email)
    order by e.id for no key update skip locked);
  update public.notification_logs d set
    status = 'failed', outcome_class = 'permanent', error_message = 'cancelled: no agent has this address', next_attempt_at = null,
    lease_until = null, leased_by = null, fence = d.fence + 1, updated_at = clock_timestamp()
  where d.lead_event_id = any (v_events) and d.to_agent and d.recipient = p_email and d.due_at is not null and d.status <> 'sending';
  perform leadpipe.settle_events(v_events);
end
$$;
revoke all on function leadpipe.cancel_agent_mail(text) from public, anon, authenticated;
