-- Lists the channels in `configured`, a list of {channel, recipient}, and every other channel that has a row, or
-- deliveries that are waiting, being sent or given up. Returns the state of each channel and the numbers of these
-- deliveries.
create or replace function public.list_channels(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  p := leadpipe.authorize(p, 'read');
  return jsonb_build_object('data', (
    select coalesce(jsonb_agg(
      jsonb_build_object(
        'name', c.channel, 'isConfigured', recipients.list <> '[]', 'recipients', recipients.list,
        'state', case when pause.is_on then 'paused' when n.fail_streak > 0 then 'probing' else 'open' end,
        'pausedUntil', leadpipe.iso8601(case when pause.is_on then n.paused_until end), 'waiting', waiting.count,
        'sending', sending.count, 'givenUp', given_up.count, 'oldestDueAt', leadpipe.iso8601(waiting.oldest),
        -- The reason is shown only while the channel is paused or probing.
        'class', case when pause.is_on or n.fail_streak > 0 then n.pause_class end,
        'reason', case when pause.is_on or n.fail_streak > 0 then n.pause_reason end)
      order by c.channel::text), '[]')
    from unnest(enum_range(null::public.notification_channel)) as c (channel)
    left join public.notification_channels n on n.channel = c.channel
    cross join lateral (select coalesce(n.paused_until > v_now, false)) as pause (is_on)
    cross join lateral (select count(*), min(d.due_at) as oldest from public.notification_logs d
                        where d.channel = c.channel and d.due_at is not null and d.status <> 'sending') waiting
    cross join lateral (select count(*) from public.notification_logs d 
                        where d.channel = c.channel and d.is_held and d.status = 'sending') sending
    cross join lateral (select count(*) from public.notification_logs d
                        where d.channel = c.channel and d.is_failed and d.next_attempt_at is null) given_up
    cross join lateral (
      select coalesce(jsonb_agg(e.recipient order by e.recipient), '[]') as list
      from jsonb_to_recordset(p -> 'configured') as e (channel text, recipient text) where e.channel = c.channel::text) recipients
    where n.channel is not null or waiting.count > 0 or sending.count > 0 or given_up.count > 0 or recipients.list <> '[]'));
end
$$;
revoke all on function public.list_channels(jsonb) from public, anon, authenticated;
grant execute on function public.list_channels(jsonb) to leadpipe_admin, service_role;
