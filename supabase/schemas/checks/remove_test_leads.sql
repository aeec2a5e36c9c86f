-- Removes the test lead `id` of `leadpipe check`, and those of the last day that interrupted checks have left, older than
-- a quarter of an hour. Nothing of them remains: events, timeline, deliveries and their attempts, idempotency keys, and
-- phone numbers and email addresses that no other lead has. If there were others than `id`, the audit log gets an entry
-- with their ids. Returns how many leads were `removed`, and whether `id` was one of them (`own`).
create or replace function public.remove_test_leads(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c_kept constant interval := interval '15 minutes';
  v_ids uuid[];
  v_customers uuid[];
  v_since timestamptz;
  v_others uuid[];
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
  v_others := array_remove(v_ids, (p ->> 'id')::uuid);
  if v_others <> '{}' then
    perform leadpipe.record_audit(p ->> 'by', 'test_leads.removed', null, jsonb_build_object('conversations', to_jsonb(v_others)));
  end if;
  return jsonb_build_object('removed', cardinality(v_ids), 'own', coalesce((p ->> 'id')::uuid = any (v_ids), false));
end
$$;
revoke all on function public.remove_test_leads(jsonb) from public, anon, authenticated;
grant execute on function public.remove_test_leads(jsonb) to leadpipe_admin, service_role;
