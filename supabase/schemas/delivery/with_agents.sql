-- Returns the entries of a claim's `channels` and one for each agent who has an unfinished delivery, at an address that
-- no entry has: those that are due first. They share the limit of their channel with its other entries, half and half.
-- Their list of events is empty, because the deliveries of agents are created with their events.
create or replace function leadpipe.with_agents(p_channels jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_entries jsonb := p_channels;
  v record;
  v_agents text[];
  v_due integer;
begin
  if not exists (select from public.notification_logs d where d.to_agent and d.due_at is not null) then
    return p_channels;
  end if;
  for v in
    select e.channel, count(*) as entries, sum(greatest(coalesce(e."limit", 10), 0)) as total
    from jsonb_to_recordset(p_channels) as e (channel text, "limit" integer) group by e.channel
  loop
    select coalesce(array_agg(first.recipient order by first.at), '{}'), count(*) filter (where first.at <= p_now)
    into v_agents, v_due
    from (
      select waiting.recipient, min(waiting.due_at) as at
      from (
        select d.recipient, d.due_at from public.notification_logs d
        where d.to_agent and d.due_at is not null and d.channel = v.channel::public.notification_channel
          and d.status <> 'sending' and (d.lease_until is null or d.lease_until <= p_now)
        order by d.due_at limit 1000) waiting
      where waiting.recipient not in (
        select coalesce(e.recipient, 'default') from jsonb_to_recordset(p_channels) as e (channel text, recipient text)
        where e.channel = v.channel)
      group by waiting.recipient
      -- A random half of an odd number, so that a limit of 1 is for either.
      order by 2 limit (v.total + (random() < 0.5)::integer) / 2
    ) first;
    continue when v_agents = '{}';
    select jsonb_agg(case when e.value ->> 'channel' = v.channel then e.value || jsonb_build_object(
        'limit', greatest(coalesce((e.value ->> 'limit')::integer, 10) - ceil(v_due::numeric / v.entries)::integer, 0)) else e.value end)
    into v_entries from jsonb_array_elements(v_entries) as e;
    v_entries := v_entries || (
      select jsonb_agg(jsonb_build_object('channel', v.channel, 'recipient', agent, 'limit', 1, 'events', '[]'::jsonb))
      from unnest(v_agents) as agent);
  end loop;
  return v_entries;
end
$$;
revoke all on function leadpipe.with_agents(jsonb, timestamptz) from public, anon, authenticated;
