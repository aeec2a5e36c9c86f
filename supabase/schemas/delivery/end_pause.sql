-- Ends a channel's pause, whatever its reason. Makes the deliveries due that waited for its end, and returns their
-- number; those that another session has locked keep their time. The paused time is kept, so that it does not count
-- against the time limit of any delivery.
create or replace function leadpipe.end_pause(p_channel public.notification_channel) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_count integer;
begin
  update public.notification_logs d set next_attempt_at = v_now
  where d.id = any (array(
    select w.id from public.notification_logs w
    where w.channel = p_channel and w.due_at > v_now and w.status = 'failed' and w.outcome_class in ('throttled', 'config')
    order by w.id for no key update skip locked));
  get diagnostics v_count = row_count;
  update public.notification_channels n set
    paused_seconds = leadpipe.paused_seconds(n.channel, v_now), paused_since = null, paused_until = null, pause_class = null,
    pause_reason = null, fail_streak = 0, probe = null
  where n.channel = p_channel;
  return v_count;
end
$$;
revoke all on function leadpipe.end_pause(public.notification_channel) from public, anon, authenticated;
