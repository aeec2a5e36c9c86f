-- Returns the data for /health. A value is null if its table does not exist. Reads partial indexes only. With
-- `olderThanSeconds`, counts only rows that are at least that old and rounds the worker's time down to a multiple of
-- it, but not to before the worker's start, so that unauthenticated callers cannot see the effect of their own requests.
-- A worker is silent if it has not claimed for a minute while events wait, or for ten minutes.
create or replace function public.health_report(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_old double precision := coalesce((p ->> 'olderThanSeconds')::double precision, 0);
  v_before timestamptz := clock_timestamp() - make_interval(secs => v_old);
  v_claimed timestamptz;
  v_seen timestamptz;
  v_has_workers boolean := to_regclass('public.workers') is not null;
  v_paused jsonb := '[]';
  v_unprocessed bigint;
  v_oldest timestamptz;
  v_failed bigint;
begin
  if v_has_workers then
    select max(last_seen), max(case when v_old > 0 then greatest(date_bin(make_interval(secs => v_old), last_seen, 'epoch'), started_at)
                               else last_seen end)
    into v_claimed, v_seen from public.workers;
  end if;
  if to_regclass('public.lead_events') is not null then
    select count(*), min(created_at) into v_unprocessed, v_oldest from public.lead_events
    where processed = false and created_at <= v_before;
  end if;
  if to_regclass('public.notification_logs') is not null then
    select count(*) into v_failed from public.notification_logs where status = 'failed' and created_at <= v_before;
  end if;
  if to_regclass('public.notification_channels') is not null then
    select coalesce(jsonb_agg(channel order by channel), '[]') into v_paused from public.notification_channels
    where paused_until > clock_timestamp() and coalesce(paused_since, updated_at) <= v_before;
  end if;
  return jsonb_build_object(
    'workerIsSilent', v_has_workers and case when v_unprocessed > 0 then coalesce(v_claimed, '-infinity') < clock_timestamp() - interval '1 minute'
      else v_claimed < clock_timestamp() - interval '10 minutes' end,
    'pausedChannels', v_paused, 'workerLastSeen', leadpipe.iso8601(v_seen), 'unprocessed', v_unprocessed,
    'oldestSeconds', floor(extract(epoch from clock_timestamp() - v_oldest)), 'failed', v_failed,
    'durable', current_setting('fsync')::boolean and current_setting('synchronous_commit') <> 'off');
end
$$;
revoke all on function public.health_report(jsonb) from public, anon, authenticated;
grant execute on function public.health_report(jsonb) to leadpipe_admin, leadpipe_intake, leadpipe_worker, service_role;

-- Deletes finished rows older than `days`, in one small batch: events with their deliveries and attempts, attempts
-- without a delivery, and workers that have stopped. Also deletes idempotency keys older than 7 days, and those made from
-- the content after an hour: they no longer have any effect. Without `days`, deletes only these keys. Unfinished rows are kept, however old. Deletes at most
-- about `batch` rows per call (default and maximum 1,000), in statements that take milliseconds. `isComplete` is true
-- when nothing is left. Locked rows are left for another call.
create or replace function public.prune(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch integer := least(greatest(coalesce((p ->> 'batch')::integer, 1000), 10), 1000);
  v_before timestamptz := clock_timestamp() - make_interval(days => (p ->> 'days')::integer);
  v_old uuid[];
  v_gone uuid[];
  v_events integer := 0;
  v_deliveries integer := 0;
  v_attempts integer := 0;
  v_orphans integer := 0;
  v_keys integer;
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
    -- An event has about three deliveries with their attempts.
    select array_agg(id) into v_old from (
      select e.id from public.lead_events e
      where e.processed and e.processed_at < v_before
        and not exists (select from public.notification_logs d
                        where d.lead_event_id = e.id and (d.due_at is not null or d.status = 'sending'))
      order by e.processed_at limit v_batch / 10 for update of e skip locked) old;
    if v_old is not null then
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
    delete from public.workers where last_seen < v_before;
  end if;
  return jsonb_build_object('events', v_events, 'deliveries', v_deliveries, 'attempts', v_attempts + v_orphans,
    'idempotencyKeys', v_keys,
    'isComplete', v_events < v_batch / 10 and v_orphans < v_batch / 4 and v_keys < v_batch / 8);
end
$$;
revoke all on function public.prune(jsonb) from public, anon, authenticated;
grant execute on function public.prune(jsonb) to leadpipe_worker, service_role;

-- Finds rows by the beginning of their ids, for the commands of the operator. `prefix` has 4 to 31 hexadecimal digits.
-- `kinds` lists the tables to search: conversation, delivery, event, agent. Returns the first five ids in order.
create or replace function public.find_ids(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_first constant uuid := rpad(p ->> 'prefix', 32, '0')::uuid;
  v_last constant uuid := rpad(p ->> 'prefix', 32, 'f')::uuid;
begin
  return jsonb_build_object('ids', (
    select coalesce(jsonb_agg(id order by id), '[]') from (
      select distinct id from (
        select id from public.conversations where p -> 'kinds' ? 'conversation' and id between v_first and v_last
        union all
        select id from public.notification_logs where p -> 'kinds' ? 'delivery' and id between v_first and v_last
        union all
        select id from public.lead_events where p -> 'kinds' ? 'event' and id between v_first and v_last
        union all
        select id from public.agents where p -> 'kinds' ? 'agent' and id between v_first and v_last) every
      order by id limit 5) found));
end
$$;
revoke all on function public.find_ids(jsonb) from public, anon, authenticated;
grant execute on function public.find_ids(jsonb) to leadpipe_admin, service_role;
