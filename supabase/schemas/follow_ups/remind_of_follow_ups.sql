-- Emits the event lead.follow_up_due for each of the locked follow-ups, once for each follow-up and time, with its
-- deliveries, and writes the timelines. Follow-ups of closed conversations are skipped; erasing a person closes them.
--
-- Not every event has a message of its own: an agent can have `p_most` at once and as many a minute, and only for
-- follow-ups after `p_own_after`. The others are counted for a summary (`summed`).
create or replace function leadpipe.remind_of_follow_ups(
  p_ids uuid[], p_channels jsonb, p_most integer, p_own_after timestamptz, p_now timestamptz, out own integer, out summed integer)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c_office constant uuid := '00000000-0000-0000-0000-000000000000';
  v_has_channels constant boolean := jsonb_array_length(p_channels) > 0;
begin
  with due as materialized (
    select f.id, f.follow_up_date, f.reminder_type, f.notify_customer, f.conversation_id, mail.address,
      case when mail.address is null then c_office else a.id end as recipient,
      jsonb_strip_nulls(jsonb_build_object(
        'followUpId', f.id, 'dueAt', leadpipe.iso8601(f.follow_up_date), 'reminderType', f.reminder_type,
        'reminderText', f.reminder_text, 'priority', f.priority,
        'customerName', c.customer_name, 'customerPhone', c.customer_phone, 'customerEmail', c.customer_email,
        'customerPhoneExtension', c.metadata -> 'customerPhoneExtension', 'assignedAgentId', a.id, 'assignedAgentName', a.name,
        'agentHasNoAddress', case when a.id is not null and mail.address is null then true end,
        'notifyCustomer', case when f.notify_customer then true end)) as facts
    from public.follow_up_tasks f
    join public.conversations c on c.id = f.conversation_id
    left join public.agents a on a.id = coalesce(f.assigned_agent_id, c.assigned_agent_id)
    cross join lateral (select leadpipe.agent_address(a.email)) as mail (address)
    where f.id = any (p_ids) and c.status not in ('completed', 'lost', 'converted', 'spam')
  ), allowed as materialized (
    -- A minute gives back all. If the clock was set back, the difference is negative.
    select who.recipient, case when r.own_at is null or r.own_at > p_now then p_most
      else least(r.own_left + p_most * extract(epoch from p_now - r.own_at)::double precision / 60, p_most) end as most
    from (select distinct recipient from due) who left join leadpipe.follow_up_reminders r on r.recipient = who.recipient
  ), ranked as materialized (
    select due.*, follow_up_date > p_own_after and row_number() over (
        partition by recipient order by follow_up_date > p_own_after desc, follow_up_date, id) <= floor(most) as is_own
    from due join allowed using (recipient)
  ), emitted as materialized (
    insert into public.lead_events (
      event_type, conversation_id, payload, idempotency_key, processed, processed_at, planned_at, created_at, updated_at)
    select 'lead.follow_up_due', conversation_id, case when is_own then facts else facts || '{"isSummedUp": true}' end,
      'lead.follow_up_due:' || id || ':' || leadpipe.iso8601(follow_up_date),
      not (is_own and v_has_channels), case when not (is_own and v_has_channels) then p_now end, p_now, p_now, p_now
    from ranked
    on conflict (idempotency_key) do nothing
    returning id, (payload ->> 'followUpId')::uuid as follow_up_id
  ), planned as (
    insert into public.notification_logs (
      lead_event_id, event_at, conversation_id, channel, recipient, to_agent, status, outcome_class, error_message,
      paused_before, created_at, updated_at)
    select emitted.id, p_now, r.conversation_id, route.channel, route.recipient, route.to_agent,
      case when reason is null then 'pending' else 'failed' end, case when reason is not null then 'permanent' end, reason,
      leadpipe.paused_seconds(route.channel, p_now), p_now, p_now
    from emitted join ranked r on r.id = emitted.follow_up_id and r.is_own
    cross join lateral (
      select * from leadpipe.agent_routes(r.address, p_channels)
      union all
      select r.reminder_type::public.notification_channel, 'agent', false, format(
        'waits for its provider: %s is not available yet; the reminder went out by another channel instead',
        case r.reminder_type when 'sms' then 'SMS' else 'WhatsApp' end)
      where r.reminder_type in ('sms', 'whatsapp')
      union all
      select case when r.reminder_type = 'call' then 'sms' else r.reminder_type end::public.notification_channel, 'customer', false,
        'waits for its provider: this version sends no messages to customers'
      where r.notify_customer
    ) route
  ), noted as (
    insert into public.conversation_timeline (conversation_id, event_type, title, metadata)
    select r.conversation_id, 'note_added', leadpipe.follow_up_title(r.reminder_type, null) || ' is due',
      jsonb_build_object('followUpId', r.id, 'followUpDate', leadpipe.iso8601(r.follow_up_date))
    from ranked r join emitted on emitted.follow_up_id = r.id
  ), counted as (
    insert into leadpipe.follow_up_reminders as old (recipient, own_left, own_at, summed, oldest)
    select r.recipient, max(allowed.most) - count(*) filter (where r.is_own), p_now, count(*) filter (where not r.is_own),
      min(r.follow_up_date) filter (where not r.is_own)
    from ranked r join emitted on emitted.follow_up_id = r.id join allowed on allowed.recipient = r.recipient
    group by r.recipient
    on conflict (recipient) do update set own_left = excluded.own_left, own_at = excluded.own_at,
      summed = old.summed + excluded.summed, oldest = least(old.oldest, excluded.oldest)
  )
  select count(*) filter (where r.is_own), count(*) filter (where not r.is_own) into own, summed
  from emitted join ranked r on r.id = emitted.follow_up_id;
end
$$;
revoke all on function leadpipe.remind_of_follow_ups(uuid[], jsonb, integer, timestamptz, timestamptz) from public, anon, authenticated;

-- Emits one event for each agent whose summary is due: how many follow-ups were due that had no message of their own, and
-- since when. At most one a minute for each agent. Returns how many it has emitted.
create or replace function leadpipe.sum_up_follow_ups(p_channels jsonb, p_now timestamptz) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  r record;
  v_event uuid;
  v_count integer := 0;
begin
  for r in
    select m.recipient, m.summed, m.oldest, a.id, a.name, leadpipe.agent_address(a.email) as address
    from leadpipe.follow_up_reminders m left join public.agents a on a.id = m.recipient
    where m.summed > 0 and (m.summed_at <= p_now - interval '1 minute' or m.summed_at > p_now)
    order by m.recipient
  loop
    insert into public.lead_events (event_type, payload, processed, processed_at, planned_at, created_at, updated_at)
    select 'lead.follow_up_due', jsonb_strip_nulls(jsonb_build_object('sumsUp', r.summed, 'oldestDue', leadpipe.iso8601(r.oldest),
      'assignedAgentId', r.id, 'assignedAgentName', r.name)), is_mute, case when is_mute then p_now end, p_now, p_now, p_now
    from (select jsonb_array_length(p_channels) = 0) as told (is_mute)
    returning id into v_event;
    perform leadpipe.plan_for_agent(v_event, r.address, p_channels, p_now);
    update leadpipe.follow_up_reminders m set summed = 0, oldest = null, summed_at = p_now where m.recipient = r.recipient;
    v_count := v_count + 1;
  end loop;
  return v_count;
end
$$;
revoke all on function leadpipe.sum_up_follow_ups(jsonb, timestamptz) from public, anon, authenticated;
