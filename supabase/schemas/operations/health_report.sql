-- Returns the data for /health. A value is null if its table does not exist. Reads partial indexes only. With
-- `olderThanSeconds`, counts only rows that are at least that old and rounds the worker's time down to a multiple of
-- it, so that unauthenticated callers cannot see the effect of their own requests.
create or replace function public.health_report(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_old double precision := coalesce((p ->> 'olderThanSeconds')::double precision, 0);
  v_before timestamptz := clock_timestamp() - make_interval(secs => v_old);
  v_seen timestamptz;
  v_unprocessed bigint;
  v_oldest timestamptz;
  v_failed bigint;
begin
  if to_regclass('public.workers') is not null then
    select max(last_seen) into v_seen from public.workers;
    if v_old > 0 then
      v_seen := date_bin(make_interval(secs => v_old), v_seen, 'epoch');
    end if;
  end if;
  if to_regclass('public.lead_events') is not null then
    select count(*), min(created_at) into v_unprocessed, v_oldest from public.lead_events
    where processed = false and created_at <= v_before;
  end if;
  if to_regclass('public.notification_logs') is not null then
    select count(*) into v_failed from public.notification_logs where status = 'failed' and created_at <= v_before;
  end if;
  return jsonb_build_object(
    'workerLastSeen', leadpipe.iso8601(v_seen), 'unprocessed', v_unprocessed,
    'oldestSeconds', floor(extract(epoch from clock_timestamp() - v_oldest)), 'failed', v_failed,
    'durable', current_setting('fsync')::boolean and current_setting('synchronous_commit') <> 'off');
end
$$;
revoke all on function public.health_report(jsonb) from public, anon, authenticated;
grant execute on function public.health_report(jsonb) to leadpipe_admin, leadpipe_intake, leadpipe_worker, service_role;
