-- Returns the data for /health. `mayCapture`: the login may store leads. A value is null if its table does not exist.
-- `changedLogins`: the logins of handlers with changed defaults that Leadpipe's calls override, which only a stolen login
-- or a mistake sets. Reads partial indexes only, and writes a temporary file of 100 kB to see whether the disk is full. With
-- `olderThanSeconds`, counts only rows that are at least that old and rounds the worker's time down to a multiple of
-- it, but not to before the worker's start, so that unauthenticated callers cannot see the effect of their own
-- requests. A worker is silent if it has not claimed for a minute while events wait, or for ten minutes.
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
    where planned_at is null and created_at <= v_before;
  end if;
  if to_regclass('public.notification_logs') is not null then
    select v_unprocessed + count(*), least(v_oldest, min(event_at)) into v_unprocessed, v_oldest from (
      select d.event_at from public.notification_logs d
      where d.due_at is not null and d.event_at <= v_before group by d.event_at, d.lead_event_id
      union all
      -- An earlier version of this schema did not copy the time.
      select e.created_at from public.lead_events e
      where e.created_at <= v_before and e.id in (
        select d.lead_event_id from public.notification_logs d where d.due_at is not null and d.event_at is null)) planned;
    select count(*) into v_failed from public.notification_logs where is_failed and created_at <= v_before;
  end if;
  if to_regclass('public.notification_channels') is not null then
    select coalesce(jsonb_agg(channel order by channel), '[]') into v_paused from public.notification_channels
    where paused_until > clock_timestamp() and coalesce(paused_since, updated_at) <= v_before;
  end if;
  return jsonb_build_object(
    'mayCapture', has_function_privilege(coalesce(nullif(current_setting('role'), 'none'), session_user), 'public.capture_lead(jsonb)', 'execute'),
    'workerIsSilent', v_has_workers and case when v_unprocessed > 0 then coalesce(v_claimed, '-infinity') < clock_timestamp() - interval '1 minute'
      else v_claimed < clock_timestamp() - interval '10 minutes' end,
    'changedLogins', (
      select coalesce(jsonb_agg(distinct r.rolname order by r.rolname), '[]')
      from pg_db_role_setting s join pg_roles r on r.oid = s.setrole, unnest(s.setconfig) as setting
      where r.rolname in ('leadpipe_intake', 'leadpipe_worker', 'leadpipe_admin')
        and split_part(setting, '=', 1) in ('default_transaction_read_only', 'synchronous_commit', 'idle_session_timeout')),
    'pausedChannels', v_paused, 'workerLastSeen', leadpipe.iso8601(v_seen), 'unprocessed', v_unprocessed,
    'oldestSeconds', floor(extract(epoch from clock_timestamp() - v_oldest)), 'failed', v_failed,
    'hasRoom', leadpipe.disk_has_room(),
    'durable', current_setting('fsync')::boolean and current_setting('synchronous_commit') <> 'off');
end
$$;
revoke all on function public.health_report(jsonb) from public, anon, authenticated;
grant execute on function public.health_report(jsonb) to leadpipe_admin, leadpipe_intake, leadpipe_worker, service_role;
