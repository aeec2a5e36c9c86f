-- Generated from schemas/ by `make migration`. This file can run again at any time.

-- True for a lead that `leadpipe check` has submitted. The event of its creation must say so too: nobody can turn
-- another lead into a test lead afterwards, which the next check would remove. A visitor can send the same name and
-- mark, so phone number and email address must be of the kinds that the check makes up, which belong to nobody: a lead
-- that could be answered is never a test lead.
create or replace function leadpipe.is_test_lead(p_id uuid, p_name text, p_metadata jsonb) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if p_name is distinct from '[test] Leadpipe check' or not coalesce(p_metadata ? 'leadpipeCheck', false) then
    return false;
  end if;
  if not exists (select from public.conversations c where c.id = p_id
    and c.customer_phone ~ '^\+97151[0-9]{7}$' and c.customer_email ~ '^check-[0-9A-Za-z_-]{12}@example\.com$') then
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

-- Counts what prune_persons would erase now with `days`: {"leads", "oldest", "closed", "subscriptions", "erasesFrom"}.
-- `subscriptions` are newsletter addresses that were kept aside as spam. `oldest` is
-- when the oldest of them was stored, `closed` the number of closed leads that are not erased, and `erasesFrom` the
-- beginning of the next pass; null if no worker has called prune_persons with days.
create or replace function public.count_old_leads(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v_before constant timestamptz := clock_timestamp() - make_interval(days => (p ->> 'days')::integer);
begin
  p := leadpipe.authorize(p, 'owner');
  return (
    select jsonb_build_object('leads', count(*) filter (where is_old), 'oldest', leadpipe.iso8601(min(created_at) filter (where is_old)),
      'closed', count(*), 'subscriptions', (
        select count(*) from public.newsletter_subscribers s where s.status = 'spam' and s.updated_at < v_before), 'erasesFrom', (
        select leadpipe.iso8601(case when l.passed_to is null then l.passed_at + interval '1 day' else l.called_at end) from leadpipe.person_lock l))
    from (
      select c.created_at, c.created_at < v_before and c.updated_at < v_before and leadpipe.is_unused_since(c.id, v_before) as is_old
      from public.conversations c where (c.erased_at is null or c.customer_id is not null) and c.status in ('completed', 'lost', 'converted', 'spam')) as closed);
end
$$;

revoke all on function public.count_old_leads(jsonb) from public, anon, authenticated;

grant execute on function public.count_old_leads(jsonb) to leadpipe_admin, service_role;

-- Housekeeping of customers, in one small batch: settles the latest merges, deletes those of more than 30 days ago, and
-- erases closed leads to which nothing has happened for `days` days (at least 30), and newsletter addresses that were kept
-- aside as spam for as long, at most 10,000 of them in a batch. Without `days`, erases nothing.
-- `isComplete` is true if there is nothing left to do now. Does nothing while another call is at work.
--
-- Leads are read once a day. The first time is a day after the first call, and a day after calls that did not come for two
-- days: an operator can still correct a wrong setting, or a wrong clock, before anything is erased. The audit log gets an
-- entry at the end of each pass that has erased leads, and after each 10,000.
create or replace function public.prune_persons(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_days integer := (p ->> 'days')::integer;
  l leadpipe.person_lock;
  v record;
  v_addresses integer;
begin
  if v_days < 30 then
    raise exception 'days must be at least 30' using errcode = '22023';
  end if;
  insert into leadpipe.person_lock default values on conflict do nothing;
  select * into l from leadpipe.person_lock for update skip locked;
  if not found then
    return jsonb_build_object('leads', 0, 'isComplete', true);
  end if;
  perform leadpipe.settle_merges();
  if v_days is null then
    if l.called_at is not null then
      -- A day passes again when it is turned on again.
      update leadpipe.person_lock set called_at = null, passed_at = null, passed_to = null, passed_id = null where only_row;
    end if;
    return jsonb_build_object('leads', 0, 'isComplete', true);
  end if;
  if l.called_at is null or l.called_at not between v_now - interval '2 days' and v_now then
    update leadpipe.person_lock set called_at = v_now, passed_at = v_now, passed_to = null, passed_id = null where only_row;
    return jsonb_build_object('leads', 0, 'isComplete', true);
  end if;
  if l.passed_to is null and l.passed_at > v_now - interval '1 day' then
    update leadpipe.person_lock set called_at = v_now where only_row;
    return jsonb_build_object('leads', 0, 'isComplete', true);
  end if;

  v := leadpipe.erase_old_leads(v_now - make_interval(days => v_days), l.passed_to, l.passed_id);
  delete from public.newsletter_subscribers where id in (
    select s.id from public.newsletter_subscribers s
    where s.status = 'spam' and s.updated_at < v_now - make_interval(days => v_days) limit 10000 for update skip locked);
  get diagnostics v_addresses = row_count;
  if v_addresses > 0 then
    perform leadpipe.record_audit('retention', 'subscribers.erased', null, jsonb_build_object('subscriptions', v_addresses, 'days', v_days));
  end if;
  l.unreported := l.unreported + v.erased;
  if l.unreported > 0 and (v.p_to is null or l.unreported >= 10000) then
    perform leadpipe.record_audit('retention', 'leads.erased', null, jsonb_build_object('leads', l.unreported, 'days', v_days));
    l.unreported := 0;
  end if;
  update leadpipe.person_lock set
    called_at = v_now, passed_at = case when v.p_to is null then v_now else l.passed_at end, passed_to = v.p_to, passed_id = v.p_id,
    unreported = l.unreported
  where only_row;
  return jsonb_build_object('leads', v.erased, 'subscriptions', v_addresses, 'isComplete', v.p_to is null);
end
$$;

revoke all on function public.prune_persons(jsonb) from public, anon, authenticated;

grant execute on function public.prune_persons(jsonb) to leadpipe_worker, service_role;
