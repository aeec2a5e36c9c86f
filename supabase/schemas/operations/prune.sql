-- Deletes finished rows older than `days`, in one small batch: events with their deliveries and attempts, attempts
-- without a delivery, decisions about assignments, and workers that have stopped. Also deletes idempotency keys older than 7 days, those made from
-- the content after an hour, and expired rate counts and records of receipts: they no longer have any effect. Without `days`, deletes only
-- these. Unfinished rows are kept, however old. Deletes at most about `batch` rows per call (default and maximum 1,000)
-- and 10,000 rate counts, in statements that take milliseconds. `isComplete` is true when nothing is left. Locked rows
-- are left for another call.
create or replace function public.prune(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch integer := least(greatest(coalesce((p ->> 'batch')::integer, 1000), 10), 1000);
  v_before timestamptz := clock_timestamp() - make_interval(days => (p ->> 'days')::integer);
  v_type public.lead_event_type;
  v_old uuid[] := '{}';
  v_gone uuid[];
  v_events integer := 0;
  v_deliveries integer := 0;
  v_attempts integer := 0;
  v_orphans integer := 0;
  v_decisions integer := 0;
  v_keys integer;
  v_now constant bigint := leadpipe.unix_milliseconds();
begin
  with old as (
    delete from public.idempotency_keys where (route, key) in (
      select route, key from public.idempotency_keys where created_at < clock_timestamp() - interval '7 days'
      order by created_at limit v_batch / 8 for update skip locked)
    returning 1),
  repeats as (
    delete from public.idempotency_keys where (route, key) in (
      select route, key from public.idempotency_keys
      where starts_with(key, 'repeat ') and created_at < clock_timestamp() - interval '1 hour'
        and created_at >= clock_timestamp() - interval '7 days'
      order by created_at limit v_batch / 8 for update skip locked)
    returning 1)
  select (select count(*) from old) + (select count(*) from repeats) into v_keys;

  if v_before is not null then
    -- Leads that were sent directly, and whose last deliveries have been given up.
    delete from leadpipe.unsent_leads where id in (
      select u.id from leadpipe.unsent_leads u
      where u.created_at < v_before and u.planned_at is not null
        and not exists (select from leadpipe.direct_deliveries d where d.lead_id = u.id and d.due_at is not null)
      order by u.created_at limit v_batch / 10 for update skip locked);
  end if;
  -- The clean-up drops these tables.
  if v_before is not null and to_regclass('public.lead_events') is not null and to_regclass('public.notification_logs') is not null
    and to_regclass('public.notification_attempts') is not null and to_regclass('public.workers') is not null then
    -- An event has about three deliveries with their attempts.
    -- An event is never finished before it was added: the first condition lets the planner use the index.
    foreach v_type in array enum_range(null::public.lead_event_type) loop
      v_old := v_old || array(
        select e.id from public.lead_events e
        where e.event_type = v_type and e.created_at < v_before and e.processed and e.processed_at < v_before
          and not exists (select from public.notification_logs d
                          where d.lead_event_id = e.id and d.due_at is not null)
        order by e.created_at, e.id limit v_batch / 10 - cardinality(v_old) for update of e skip locked);
    end loop;
    if v_old <> '{}' then
      -- By ids: with a join, the planner might scan all attempts.
      select array_agg(d.id) into v_gone from public.notification_logs d where d.lead_event_id = any (v_old);
      delete from public.notification_attempts a where a.delivery = any (v_gone);
      get diagnostics v_attempts = row_count;
      delete from public.notification_logs d where d.lead_event_id = any (v_old);
      get diagnostics v_deliveries = row_count;
      delete from public.lead_events e where e.id = any (v_old);
      get diagnostics v_events = row_count;
    end if;
    -- Attempts whose deliveries were deleted with their conversation.
    delete from public.notification_attempts a where (a.delivery, a.fence) in (
      select o.delivery, o.fence from public.notification_attempts o
      where o.started_at < v_before and not exists (select from public.notification_logs d where d.id = o.delivery)
      order by o.started_at limit v_batch / 4 for update skip locked);
    get diagnostics v_orphans = row_count;
    delete from leadpipe.assignment_decisions where id in (
      select a.id from leadpipe.assignment_decisions a where a.created_at < v_before
      order by a.created_at limit v_batch / 4 for update skip locked);
    get diagnostics v_decisions = row_count;
    delete from public.workers where name in (
      select w.name from public.workers w where w.last_seen < v_before order by w.name for update skip locked);
  end if;
  -- Receipts that count for no limit any more. A refused address is remembered for a year.
  delete from leadpipe.receipts where conversation_id in (
    select r.conversation_id from leadpipe.receipts r
    where r.decided_at < clock_timestamp() - interval '31 days' and (r.bounced_at is null or r.decided_at < clock_timestamp() - interval '1 year')
    order by r.decided_at limit 100 for update skip locked);
  -- Last, because a returning client waits for the lock of its row. Expired rows also make room when new clients arrive. These are of a limit that nobody uses any more.
  delete from leadpipe.rate_counts where (rate, key) in (
    select c.rate, c.key from leadpipe.rate_counts c where c.ends < v_now limit 10000 for update skip locked);
  return jsonb_build_object('events', v_events, 'deliveries', v_deliveries, 'attempts', v_attempts + v_orphans,
    'idempotencyKeys', v_keys,
    'isComplete', v_events < v_batch / 10 and v_orphans < v_batch / 4 and v_decisions < v_batch / 4 and v_keys < v_batch / 8);
end
$$;
revoke all on function public.prune(jsonb) from public, anon, authenticated;
grant execute on function public.prune(jsonb) to leadpipe_worker, service_role;
