-- Generated from schemas/ by `make migration`. This file can run again at any time.

-- Queues the new leads of all transactions since `p_seen` that have no agent, without those of `leadpipe check`. Returns
-- the place up to which it has read: `seen`. Reads at most about 5,000 events: `is_complete` is false if there are more.
-- Without `p_seen`, and after a restore into another cluster, it queues none and returns the current place.
create or replace function leadpipe.queue_new_leads(p_seen xid8, out seen xid8, out is_complete boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c_most constant integer := 5000;
  v_here pg_snapshot := pg_current_snapshot();
  v_last xid8;
begin
  -- Transactions that have not ended are read by a later call.
  seen := pg_snapshot_xmin(v_here);
  is_complete := true;
  if p_seen is null or p_seen > pg_snapshot_xmax(v_here) or p_seen = seen then
    return;
  end if;
  select e.xact into v_last from public.lead_events e where e.xact >= p_seen and e.xact < seen order by e.xact offset c_most - 1 limit 1;
  if found then
    seen := (v_last::text::numeric + 1)::text::xid8;
    is_complete := false;
  end if;
  insert into leadpipe.assignment_turns (conversation_id, quality, deadline, queued_at)
  select c.id, c.lead_quality, c.sla_response_deadline, clock_timestamp()
  from (select distinct e.conversation_id as id from public.lead_events e
        where e.xact >= p_seen and e.xact < seen and e.event_type = 'lead.created' and e.conversation_id is not null) e
  join public.conversations c on c.id = e.id
  where c.assigned_agent_id is null and c.first_response_at is null and c.status in ('new', 'in-progress') and not c.sla_breached
    and not leadpipe.is_test_lead(c.id, c.customer_name, c.metadata)
  order by c.id
  on conflict (conversation_id) do nothing;
end
$$;

revoke all on function leadpipe.queue_new_leads(xid8) from public, anon, authenticated;

-- Makes the test lead `id` of `leadpipe check` overdue and keeps it away from agents: its deadline becomes an hour before
-- its creation, which the SLA sweep does not announce, and it is marked as released, so that it is never assigned. Until
-- then it is not overdue, and new test leads are not queued for an agent. Without `id`, does nothing: the call shows that
-- the caller may prepare a test lead. Raises LP404 if the conversation is not a test lead.
create or replace function public.prepare_test_lead(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  p := leadpipe.authorize(p, 'owner');
  if p ->> 'id' is null then
    return '{}';
  end if;
  -- A lead that was set aside as spam has no deadline.
  update public.conversations set sla_response_deadline = case when status <> 'spam' then created_at - interval '1 hour' end
  where id = (p ->> 'id')::uuid and leadpipe.is_test_lead(id, customer_name, metadata)
  returning * into c;
  if not found then
    raise exception using errcode = 'LP404', message = 'conversation_not_found';
  end if;
  perform leadpipe.release_lead(c);
  return '{}';
end
$$;

revoke all on function public.prepare_test_lead(jsonb) from public, anon, authenticated;

grant execute on function public.prepare_test_lead(jsonb) to leadpipe_admin, service_role;
