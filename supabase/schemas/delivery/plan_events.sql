-- Creates the deliveries of at most `p_most` new events: one for each entry of `p_channels` that includes the event's
-- type. The first deliveries of an entry are created with a lease of `p_worker`, as many as its `room`. Returns how many
-- events have deliveries (`planned`), how many need none and are marked as processed (`unrouted`), and the leased
-- deliveries. Events and conversations that another session has locked are left for a later call.
create or replace function leadpipe.plan_events(
  p_channels jsonb, p_most integer, p_worker text, p_lease interval, p_now timestamptz,
  out planned integer, out unrouted integer, out leased uuid[])
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_ids uuid[];
begin
  -- The row of a conversation is locked as the foreign keys of its deliveries lock it, but without waiting.
  v_ids := array(
    select e.id from public.lead_events e
    where e.planned_at is null and (e.conversation_id is null
      or exists (select from public.conversations c where c.id = e.conversation_id for key share skip locked))
    order by e.created_at, e.id limit p_most for no key update of e skip locked);
  if v_ids = '{}' then
    select 0, 0, '{}' into planned, unrouted, leased;
    return;
  end if;

  with entry as materialized (
    select channel::public.notification_channel, coalesce(recipient, 'default') as recipient, events, coalesce(room, 0) as room,
      leadpipe.paused_seconds(channel::public.notification_channel, p_now) as paused
    from jsonb_to_recordset(p_channels) as entry (channel text, recipient text, events text[], room integer)
    where octet_length(coalesce(recipient, '')) <= 1000
  ), planned_events as (
    update public.lead_events e set
      planned_at = p_now, updated_at = p_now,
      processed = e.event_type::text <> all (routed.types), processed_at = case when e.event_type::text <> all (routed.types) then p_now end
    from (
      select array(
        select type::text from unnest(enum_range(null::public.lead_event_type)) as type
        where exists (select from entry where (entry.events is null or type::text = any (entry.events))
                      and (type <> 'newsletter.subscribed' or entry.channel = 'slack'))) as types
    ) routed
    where e.id = any (v_ids)
    returning e.id, e.conversation_id, e.event_type, e.created_at, e.processed
  ), route as (
    select distinct on (e.id, entry.channel, entry.recipient)
      e.id, e.conversation_id, e.created_at, entry.channel, entry.recipient, entry.paused, entry.room
    from planned_events e join entry on (entry.events is null or e.event_type::text = any (entry.events))
      and (e.event_type <> 'newsletter.subscribed' or entry.channel = 'slack')
    where not e.processed
      -- Not `not exists`, which the planner could turn into a join with the whole table.
      and (select d.id from public.notification_logs d where d.lead_event_id = e.id and d.channel = entry.channel
             and d.recipient = entry.recipient and d.replay_of is null limit 1) is null
  ), made as (
    insert into public.notification_logs (
      lead_event_id, event_at, conversation_id, channel, recipient, paused_before, created_at, updated_at, fence, leased_by, lease_until)
    select id, created_at, conversation_id, channel, recipient, paused, p_now, p_now, is_leased::integer,
      case when is_leased then p_worker end, case when is_leased then p_now + p_lease end
    from (
      select *, row_number() over (partition by channel, recipient order by created_at, id) <= room as is_leased from route
    ) numbered
    returning id, lease_until
  )
  select (select count(*) from planned_events where not processed), (select count(*) from planned_events where processed),
    coalesce((select array_agg(id) from made where lease_until is not null), '{}')
  into planned, unrouted, leased;
end
$$;
revoke all on function leadpipe.plan_events(jsonb, integer, text, interval, timestamptz) from public, anon, authenticated;
