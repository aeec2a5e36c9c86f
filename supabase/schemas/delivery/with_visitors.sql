-- Returns the entries of a claim, from with_agents, and one for each of at most two visitors whose receipts are due first.
-- There are none while a message for the team or an agent is due or an event is to be planned, so that receipts delay
-- nothing else. The receipts of leads that were closed, set aside or erased meanwhile are cancelled,
-- and those that are older than a day.
create or replace function leadpipe.with_visitors(p_channels jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_ended uuid[];
  v_visitors text[];
  v_room integer;
begin
  if not exists (select from public.notification_logs d where d.to_visitor and d.due_at is not null) then
    return p_channels;
  end if;
  v_ended := array(
    select due.id from (
      select d.id, d.conversation_id from public.notification_logs d
      where d.to_visitor and d.due_at <= p_now and d.status <> 'sending' order by d.due_at limit 100) due
    where not exists (select from public.conversations c where c.id = due.conversation_id and c.status in ('new', 'in-progress') and c.erased_at is null));
  if v_ended <> '{}' then
    perform leadpipe.cancel_deliveries(v_ended, 'cancelled: the lead is not open any more');
  end if;
  v_ended := array(
    select d.id from public.notification_logs d
    where d.to_visitor and d.due_at <= p_now and d.status <> 'sending' and d.created_at < p_now - interval '24 hours' order by d.due_at limit 100);
  if v_ended <> '{}' then
    perform leadpipe.cancel_deliveries(v_ended, 'cancelled: it is too late for a receipt');
  end if;

  select sum(greatest(coalesce(e."limit", 10), 0)) into v_room
  from jsonb_to_recordset(p_channels) as e (channel text, "limit" integer) where e.channel = 'email';
  if coalesce(v_room, 0) = 0
    or exists (select from public.lead_events e where e.planned_at is null)
    or exists (
      select from jsonb_to_recordset(p_channels) as e (channel text, recipient text)
      where e.channel = 'email' and exists (
        select from public.notification_logs d
        where d.channel = 'email' and d.recipient = coalesce(e.recipient, 'default') and d.due_at <= p_now and d.status <> 'sending'
          and not d.to_visitor and (d.lease_until is null or d.lease_until <= p_now)))
  then
    return p_channels;
  end if;
  select array_agg(first.recipient) into v_visitors from (
    select waiting.recipient from (
      select d.recipient, d.due_at from public.notification_logs d
      where d.to_visitor and d.due_at is not null and d.status <> 'sending' and (d.lease_until is null or d.lease_until <= p_now)
      order by d.due_at limit 100) waiting
    where waiting.recipient not in (
      select coalesce(e.recipient, 'default') from jsonb_to_recordset(p_channels) as e (channel text, recipient text) where e.channel = 'email')
    group by waiting.recipient order by min(waiting.due_at) limit least(v_room, 2)) first;
  if v_visitors is null then
    return p_channels;
  end if;
  return p_channels || (
    select jsonb_agg(jsonb_build_object('channel', 'email', 'recipient', visitor, 'limit', 1, 'events', '[]'::jsonb))
    from unnest(v_visitors) as visitor);
end
$$;
revoke all on function leadpipe.with_visitors(jsonb, timestamptz) from public, anon, authenticated;
