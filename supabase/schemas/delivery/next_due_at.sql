-- Returns when the next delivery for an entry of `p_channels` is due. Null if none is waiting. `p_probing` lists the
-- channels whose probe this call may claim. An entry with limit 0 is ignored, because its worker has a timer for when
-- it can send again.
create or replace function leadpipe.next_due_at(
  p_channels jsonb, p_probing public.notification_channel[], p_now timestamptz) returns timestamptz
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select min(greatest(first.due_at, n.paused_until,
      -- While a probe is being sent, nothing else is due until its lease expires or another probe is chosen.
      case when n.fail_streak > 0 then coalesce(
        (select d.lease_until from public.notification_logs d where d.id = n.probe and d.lease_until > p_now),
        case when n.channel <> all (coalesce(p_probing, '{}')) then p_now + interval '1 second' end) end))
    from jsonb_to_recordset(p_channels) as e (channel text, recipient text, "limit" integer)
    left join public.notification_channels n on n.channel = e.channel::public.notification_channel
    cross join lateral (
      select d.due_at from public.notification_logs d
      where d.channel = e.channel::public.notification_channel and d.recipient = coalesce(e.recipient, 'default')
        and d.due_at is not null and d.status <> 'sending' and (d.lease_until is null or d.lease_until <= p_now)
      order by d.due_at limit 1
    ) first
    where coalesce(e."limit", 10) > 0);
end
$$;
revoke all on function leadpipe.next_due_at(jsonb, public.notification_channel[], timestamptz) from public, anon, authenticated;
