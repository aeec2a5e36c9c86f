-- Generated from schemas/ by `make migration`. This file can run again at any time.

-- True for a lead that `leadpipe check` has submitted. The event of its creation must say so too: nobody can turn
-- another lead into a test lead afterwards, which the next check would remove.
create or replace function leadpipe.is_test_lead(p_id uuid, p_name text, p_metadata jsonb) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if p_name is distinct from '[test] Leadpipe check' or not coalesce(p_metadata ? 'leadpipeCheck', false) then
    return false;
  end if;
  if to_regclass('public.lead_events') is null then
    return true;
  end if;
  return exists (select from public.lead_events e where e.conversation_id = p_id and e.event_type = 'lead.created'
    and e.payload ->> 'customerName' = p_name);
end
$$;

revoke all on function leadpipe.is_test_lead(uuid, text, jsonb) from public, anon, authenticated;

-- Keeps the test lead of `leadpipe check` away from agents. Without `id`, only waits for the lock that lets one call of
-- assign_leads work at a time: until the caller's transaction ends, no lead is assigned automatically. With `id`, the
-- conversation gets a deadline of an hour before its creation, which the SLA sweep does not announce, and is marked as
-- released, so that it is never assigned. Raises LP404 if the conversation is not a test lead.
create or replace function public.prepare_test_lead(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  p := leadpipe.authorize(p, 'owner');
  if p ->> 'id' is null then
    insert into leadpipe.assigning (is_only) select true where not exists (select from leadpipe.assigning) on conflict do nothing;
    perform from leadpipe.assigning for no key update;
    return '{}';
  end if;
  update public.conversations set sla_response_deadline = created_at - interval '1 hour'
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

-- Removes the test lead `id` of `leadpipe check`, and those of the last day that interrupted checks have left, older than
-- a quarter of an hour. Nothing of them remains: events, timeline, deliveries and their attempts, idempotency keys, and
-- phone numbers and email addresses that no other lead has. Returns how many leads were
-- `removed`, and whether `id` was one of them (`own`).
create or replace function public.remove_test_leads(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c_kept constant interval := interval '15 minutes';
  v_ids uuid[];
  v_customers uuid[];
  v_since timestamptz;
begin
  p := leadpipe.authorize(p, 'owner');
  v_ids := array(
    select c.id from public.conversations c
    where (c.id = (p ->> 'id')::uuid or c.created_at between now() - interval '1 day' and now() - c_kept)
      and leadpipe.is_test_lead(c.id, c.customer_name, c.metadata));
  if v_ids = '{}' then
    return '{"removed": 0, "own": false}';
  end if;
  -- The order in which others lock them: events, then conversations.
  if to_regclass('public.lead_events') is not null then
    perform from public.lead_events e where e.conversation_id = any (v_ids) order by e.id for update;
  end if;
  perform from public.conversations c where c.id = any (v_ids) order by c.id for update;
  select array_agg(c.customer_id), min(c.created_at) into v_customers, v_since from public.conversations c where c.id = any (v_ids);
  if to_regclass('public.notification_logs') is not null and to_regclass('public.notification_attempts') is not null then
    delete from public.notification_attempts a
    where a.delivery in (select d.id from public.notification_logs d where d.conversation_id = any (v_ids));
  end if;
  delete from public.conversations c where c.id = any (v_ids);
  delete from public.idempotency_keys k where k.created_at >= v_since - interval '1 minute' and k.conversation_id = any (v_ids);
  delete from public.customer_identities i
  where i.customer_id = any (v_customers) and not exists (select from public.conversations c where c.customer_id = i.customer_id);
  return jsonb_build_object('removed', cardinality(v_ids), 'own', coalesce((p ->> 'id')::uuid = any (v_ids), false));
end
$$;

revoke all on function public.remove_test_leads(jsonb) from public, anon, authenticated;

grant execute on function public.remove_test_leads(jsonb) to leadpipe_admin, service_role;
