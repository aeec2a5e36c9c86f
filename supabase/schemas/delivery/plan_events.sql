-- Creates the deliveries of at most `p_most` new events: one for each entry of `p_channels` that includes the event's
-- type. Returns how many events have deliveries (`planned`), and how many need none and are marked as processed
-- (`unrouted`). Events and conversations that another session has locked are left for a later call.
create or replace function leadpipe.plan_events(
  p_channels jsonb, p_most integer, p_now timestamptz, out planned integer, out unrouted integer)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  with entry as materialized (
    select channel::public.notification_channel, coalesce(recipient, 'default') as recipient, events,
      leadpipe.paused_seconds(channel::public.notification_channel, p_now) as paused
    from jsonb_to_recordset(p_channels) as entry (channel text, recipient text, events text[])
    where octet_length(coalesce(recipient, '')) <= 1000
  ), oldest as materialized (
    select e.id, e.event_type, e.conversation_id from public.lead_events e
    where e.planned_at is null order by e.created_at, e.id limit p_most for no key update skip locked
  ), free as materialized (
    select unnest(leadpipe.hold_conversations(array(select conversation_id from oldest))) as id
  ), fresh as materialized (
    select * from oldest where conversation_id is null or conversation_id in (select id from free)
  ), route as (
    select fresh.id, fresh.conversation_id, entry.channel, entry.recipient, entry.paused
    from fresh join entry on (entry.events is null or fresh.event_type::text = any (entry.events))
      and (fresh.event_type <> 'newsletter.subscribed' or entry.channel = 'slack')
  ), made as (
    insert into public.notification_logs (lead_event_id, conversation_id, channel, recipient, paused_before)
    select id, conversation_id, channel, recipient, paused from route
    on conflict (lead_event_id, channel, recipient) where replay_of is null do nothing
  ), planned_events as (
    update public.lead_events e set
      planned_at = p_now, updated_at = p_now,
      processed = e.id <> all (array(select id from route)),
      processed_at = case when e.id <> all (array(select id from route)) then p_now end
    where e.id = any (array(select id from fresh))
    returning e.processed
  )
  select count(*) filter (where not processed), count(*) filter (where processed) into planned, unrouted from planned_events;
end
$$;
revoke all on function leadpipe.plan_events(jsonb, integer, timestamptz) from public, anon, authenticated;
