-- Reminds agents of the follow-ups that are due, in one small batch: at most `batch` (default 100, at most 500). Each
-- follow-up is reminded of once for each time that it has been set to, and becomes overdue. `channels` has the configured
-- channels and recipients. `ownPerMinute` (default 20) reminders of an agent have a message of their own, if they are no
-- older than `ownForSeconds` (default 3600); one event for each agent sums up the others when nothing is left.
--
-- Returns the time of the database (`now`), how many reminders have a message (`reminded`) and how many are summed up
-- (`summedUp`), how many summaries were emitted (`summaries`), whether nothing is left (`isComplete`), when the next
-- follow-up or summary is due (`nextAt`), and the day of the last digests (`digestedOn`). One call works at a time; the
-- others return `isBusy` at once. Waits for no row: what another session has locked is left for a later call.
create or replace function public.sweep_follow_ups(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch constant integer := least(greatest(coalesce((p ->> 'batch')::integer, 100), 1), 500);
  v_most constant integer := greatest(coalesce((p ->> 'ownPerMinute')::integer, 20), 0);
  v_own_for constant interval := make_interval(secs => greatest(coalesce((p ->> 'ownForSeconds')::integer, 3600), 0));
  v_channels constant jsonb := coalesce(p -> 'channels', '[]');
  v_now timestamptz := clock_timestamp();
  v_due uuid[];
  s leadpipe.follow_up_sweep;
  v_own integer := 0;
  v_summed integer := 0;
  v_summaries integer := 0;
begin
  perform leadpipe.check_size(p, 65536);
  if to_regclass('public.follow_up_tasks') is null or to_regclass('public.lead_events') is null
    or to_regclass('public.conversation_timeline') is null or to_regclass('public.notification_logs') is null
  then
    return jsonb_build_object('now', leadpipe.iso8601(v_now), 'reminded', 0, 'summedUp', 0, 'summaries', 0, 'isBusy', false,
      'isComplete', true, 'nextAt', null, 'digestedOn', 'infinity');
  end if;
  insert into leadpipe.follow_up_sweep (is_only) select true where not exists (select from leadpipe.follow_up_sweep) on conflict do nothing;
  select * into s from leadpipe.follow_up_sweep for no key update skip locked;
  v_now := clock_timestamp();
  if not found then
    return jsonb_build_object('now', leadpipe.iso8601(v_now), 'reminded', 0, 'summedUp', 0, 'summaries', 0, 'isBusy', true,
      'isComplete', false, 'nextAt', null, 'digestedOn', null);
  end if;

  -- The conditions match the index follow_up_tasks_due_idx. The latest come first, so that a backlog delays none of them.
  v_due := array(
    select f.id from public.follow_up_tasks f join public.conversations c on c.id = f.conversation_id
    where f.status in ('scheduled', 'in_progress', 'overdue') and f.reminded_for is distinct from f.follow_up_date
      and f.follow_up_date <= v_now
    order by f.follow_up_date desc limit v_batch for no key update of c, f skip locked);
  if cardinality(v_due) > 0 then
    select own, summed into v_own, v_summed
    from leadpipe.remind_of_follow_ups(v_due, v_channels, v_most, v_now - v_own_for, v_now);
    update public.follow_up_tasks f set
      reminded_for = f.follow_up_date, status = case when f.status in ('scheduled', 'in_progress') then 'overdue' else f.status end
    where f.id = any (v_due);
  end if;
  if cardinality(v_due) < v_batch then
    v_summaries := leadpipe.sum_up_follow_ups(v_channels, v_now);
  end if;

  return jsonb_build_object(
    'now', leadpipe.iso8601(v_now), 'reminded', v_own, 'summedUp', v_summed, 'summaries', v_summaries, 'isBusy', false,
    'isComplete', cardinality(v_due) < v_batch,
    'nextAt', leadpipe.iso8601(least(
      (select f.follow_up_date from public.follow_up_tasks f
       where f.status in ('scheduled', 'in_progress', 'overdue') and f.reminded_for is distinct from f.follow_up_date
       order by f.follow_up_date limit 1),
      (select min(greatest(m.summed_at + interval '1 minute', v_now)) from leadpipe.follow_up_reminders m where m.summed > 0))),
    'digestedOn', case when s.digested_on <= (v_now at time zone 'UTC')::date + 1 then s.digested_on end);
end
$$;
revoke all on function public.sweep_follow_ups(jsonb) from public, anon, authenticated;
grant execute on function public.sweep_follow_ups(jsonb) to leadpipe_worker, service_role;
