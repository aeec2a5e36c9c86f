-- Marks deliveries as being sent. The worker must send only those in `begun`. A delivery in `lost` has an expired
-- lease, or another worker has claimed it. A delivery in `paused` was claimed before its channel was paused, and is
-- released. `paces` has the minimum time between two messages of a channel, in milliseconds: if the channel's turn has
-- come, its oldest delivery begins. The others are in `early`; they are released and due at their turns.
create or replace function public.begin_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_now timestamptz := clock_timestamp();
  v_lease interval := make_interval(secs => coalesce((p ->> 'leaseSeconds')::double precision, 30));
  v_ids constant uuid[] := array(select asked.id from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid));
  v_early uuid[] := '{}';
  v_pace record;
  v_next timestamptz;
  v_reply jsonb;
  v_split record;
begin
  if to_regclass('public.notification_logs') is null then
    return leadpipe.begin_direct(p);
  elsif exists (select from leadpipe.direct_deliveries d where d.id = any (v_ids)) then
    v_split := leadpipe.split_direct(p -> 'deliveries');
    return leadpipe.join_replies(leadpipe.begin_direct(p || jsonb_build_object('deliveries', v_split.direct)),
      case when v_split.others <> '[]' then public.begin_deliveries(p || jsonb_build_object('deliveries', v_split.others)) end);
  end if;
  perform from public.notification_logs d where p -> 'paces' is not null and d.id = any (v_ids) order by d.id for no key update of d;
  for v_pace in
    select pace.key::public.notification_channel as channel, make_interval(secs => pace.value::double precision / 1000) as gap,
      (select array_agg(d.id order by d.due_at, d.id) from public.notification_logs d
        where d.id = any (v_ids) and d.channel = pace.key::public.notification_channel and d.status = 'pending' and d.lease_until > v_now
          and (d.id, d.fence) in (select * from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid, fence bigint))) as ids
    from jsonb_each_text(coalesce(p -> 'paces', '{}')) pace order by 1
  loop
    continue when v_pace.ids is null
      or exists (select from public.notification_channels n where n.channel = v_pace.channel and n.paused_until > v_now);
    insert into public.notification_channels (channel) values (v_pace.channel) on conflict do nothing;
    select (n.send_budget ->> 'nextAt')::timestamptz into v_next from public.notification_channels n
    where n.channel = v_pace.channel for no key update;
    v_now := clock_timestamp();
    -- A turn more than one gap ahead was set with another pace, or the clock has changed.
    v_next := least(coalesce(v_next, v_now), v_now + v_pace.gap);
    if v_next <= v_now then
      v_next := v_now + v_pace.gap;
      update public.notification_channels n set send_budget = jsonb_build_object('nextAt', v_next) where n.channel = v_pace.channel;
      v_pace.ids := v_pace.ids[2:];
    end if;
    update public.notification_logs d set
      lease_until = null, leased_by = null, updated_at = v_now, next_attempt_at = v_next + (turn.number - 1) * v_pace.gap
    from unnest(v_pace.ids) with ordinality as turn (id, number)
    -- By ids too: the planner would join all deliveries.
    where d.id = turn.id and d.id = any (v_pace.ids);
    v_early := v_early || v_pace.ids;
  end loop;

  with asked as (
    select * from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid, fence bigint)
  ), held as materialized (
    select d.id, d.channel from public.notification_logs d join asked on asked.id = d.id and asked.fence = d.fence
    where d.id = any (v_ids) and d.id <> all (v_early) and d.status = 'pending' and d.lease_until > v_now
    order by d.id for no key update of d
  ), shut as (
    -- Claimed before the channel was paused, or before another delivery became the probe.
    select held.id from held join public.notification_channels n on n.channel = held.channel
    where n.paused_until > v_now or (n.fail_streak > 0 and n.probe is distinct from held.id)
  ), given_back as (
    update public.notification_logs d set lease_until = null, leased_by = null, updated_at = v_now
    where d.id = any (array(select id from shut))
  ), begun as (
    update public.notification_logs d set status = 'sending', lease_until = v_now + v_lease, begun_at = v_now, updated_at = v_now
    where d.id = any (array(select id from held except select id from shut))
    returning d.id, d.retry_count + 1 as attempt
  )
  select jsonb_build_object(
    'begun', coalesce((select jsonb_agg(jsonb_build_object('id', id, 'attempt', attempt) order by id) from begun), '[]'),
    'paused', coalesce((select jsonb_agg(distinct id) from shut), '[]'),
    'early', to_jsonb(v_early),
    'lost', coalesce((select jsonb_agg(distinct id) from asked where id not in (
      select id from begun union all select id from shut union all select unnest(v_early))), '[]'))
  into v_reply;
  return v_reply;
end
$$;
revoke all on function public.begin_deliveries(jsonb) from public, anon, authenticated;
grant execute on function public.begin_deliveries(jsonb) to leadpipe_worker, service_role;
