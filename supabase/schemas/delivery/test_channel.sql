-- Queues a test message to each configured recipient of the channel `name`: an event that is already planned, with one
-- delivery for each recipient. The deliveries are sent like all others; if the channel is paused, they wait for the end
-- of the pause. Raises LP404 if the channel is not configured.
create or replace function public.test_channel(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_event uuid := leadpipe.uuid_v7();
  v_channel public.notification_channel;
  v_deliveries jsonb;
begin
  p := leadpipe.authorize(p, 'owner');
  if not exists (select from jsonb_to_recordset(p -> 'configured') as e (channel text) where e.channel = p ->> 'name') then
    raise exception using errcode = 'LP404', message = 'channel_not_configured';
  end if;
  v_channel := p ->> 'name';
  insert into public.lead_events (id, event_type, payload, planned_at, created_at)
  values (v_event, 'channel.test', jsonb_build_object('channel', v_channel, 'by', p -> 'by', 'askedAt', leadpipe.iso8601(v_now)), v_now, v_now);
  with made as (
    insert into public.notification_logs (lead_event_id, event_at, channel, recipient, created_at, paused_before)
    select distinct on (e.recipient) v_event, v_now, v_channel, coalesce(e.recipient, 'default'), v_now, leadpipe.paused_seconds(v_channel, v_now)
    from jsonb_to_recordset(p -> 'configured') as e (channel text, recipient text)
    where e.channel = p ->> 'name'
    returning id, recipient
  )
  select jsonb_agg(jsonb_build_object('id', id, 'recipient', recipient) order by recipient) into v_deliveries from made;
  perform leadpipe.record_audit(p ->> 'by', 'channel.tested', p ->> 'name');
  return jsonb_build_object('channel', v_channel, 'eventId', v_event, 'deliveries', v_deliveries,
    'pausedUntil', (select leadpipe.iso8601(n.paused_until) from public.notification_channels n
                    where n.channel = v_channel and n.paused_until > v_now));
end
$$;
revoke all on function public.test_channel(jsonb) from public, anon, authenticated;
grant execute on function public.test_channel(jsonb) to leadpipe_admin, service_role;
