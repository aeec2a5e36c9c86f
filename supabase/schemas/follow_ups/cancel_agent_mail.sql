-- Cancels the deliveries to an agent's address that have not been sent, because no agent has it any more. The caller has
-- locked the agent.
create or replace function leadpipe.cancel_agent_mail(p_email text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is not null and to_regclass('public.notification_logs') is not null then
    perform leadpipe.cancel_deliveries(array(
      select d.id from public.notification_logs d where d.to_agent and d.due_at is not null and d.recipient = p_email),
      'cancelled: no agent has this address');
  end if;
end
$$;
revoke all on function leadpipe.cancel_agent_mail(text) from public, anon, authenticated;
