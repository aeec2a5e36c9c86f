-- Ends the pause of the channel `name`, even one that the provider requested. Raises LP404 if the channel is not in
-- `configured` and has no row.
create or replace function public.resume_channel(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_channel public.notification_channel;
  v_was jsonb;
begin
  p := leadpipe.authorize(p, 'owner');
  if not exists (select from jsonb_to_recordset(p -> 'configured') as e (channel text) where e.channel = p ->> 'name')
    and not exists (select from public.notification_channels n where n.channel::text = p ->> 'name') then
    raise exception using errcode = 'LP404', message = 'channel_not_found';
  end if;
  v_channel := p ->> 'name';
  select jsonb_build_object('pausedUntil', leadpipe.iso8601(n.paused_until), 'class', n.pause_class, 'reason', n.pause_reason)
  into v_was from public.notification_channels n
  where n.channel = v_channel and (n.paused_until > clock_timestamp() or n.fail_streak > 0);
  perform leadpipe.record_audit(p ->> 'by', 'channel.resumed', p ->> 'name');
  return jsonb_build_object('channel', v_channel, 'wasPaused', v_was is not null, 'was', v_was,
    'broughtForward', leadpipe.end_pause(v_channel));
end
$$;
revoke all on function public.resume_channel(jsonb) from public, anon, authenticated;
grant execute on function public.resume_channel(jsonb) to leadpipe_admin, service_role;
