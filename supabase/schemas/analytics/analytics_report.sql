-- GET /api/admin/analytics: figures of the conversations that began in a period, in the agency's time zone. The query
-- makes three passes: one over the rows of the period for all counts by quality, status, source and agent; one over the
-- index of creation times for days and hours (in quarters of an hour, because time zones differ by these); one for the
-- median response time. The query is dynamic so that the planner can estimate the length of the period. It uses EXECUTE
-- … INTO because PL/pgSQL does not run a plain SELECT INTO in parallel.
create or replace function public.analytics_report(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_sort = off set parallel_tuple_cost = 0 set work_mem = '64MB' as $$
declare
  c_report constant text := $query$
    with facts as materialized (
      select lead_quality, status, source, assigned_agent_id,
        case when first_response_at > sla_response_deadline then 'breached'
          when first_response_at is not null then 'met'
          when case when status in ('completed', 'lost', 'converted') then sla_breached else sla_response_deadline <= now() end then 'breached'
        end as answer,
        first_response_at is not null as answered, count(*) as n, sum(duration_minutes) as minutes, count(duration_minutes) as timed,
        sum(date_part('epoch', first_response_at - created_at)) as seconds
      from public.conversations where created_at >= $1 and created_at < $2 and status <> 'spam'
      group by 1, 2, 3, 4, 5, 6
    ), hours as materialized (
      select date_trunc('hour', (timestamptz 'epoch' + quarter * interval '15 minutes') at time zone $3) as hour, n
      from (select floor(date_part('epoch', created_at) / 900) as quarter, count(*) as n
            from public.conversations where created_at >= $1 and created_at < $2 group by 1
            -- Taken off again, so that the first part needs no more than the index.
            union all
            select floor(date_part('epoch', created_at) / 900), -count(*)
            from public.conversations where status = 'spam' and created_at >= $1 and created_at < $2 group by 1) quarters
    ), answers as materialized (
      select date_part('epoch', first_response_at - created_at)::bigint as seconds, count(*) as n
      from public.conversations where created_at >= $1 and created_at < $2 and first_response_at is not null and status <> 'spam'
      group by 1
    ), whole as (
      select coalesce(sum(n), 0) as n, coalesce(sum(n) filter (where lead_quality = 'hot'), 0) as hot,
        coalesce(sum(n) filter (where lead_quality = 'warm'), 0) as warm, coalesce(sum(n) filter (where lead_quality = 'cold'), 0) as cold,
        coalesce(sum(n) filter (where lead_quality <> 'cold' or status = 'converted'), 0) as qualified,
        coalesce(sum(n) filter (where (lead_quality <> 'cold' and answered) or status = 'converted'), 0) as contacted,
        coalesce(sum(n) filter (where status = 'converted'), 0) as converted,
        coalesce(sum(n) filter (where answer = 'met'), 0) as met, coalesce(sum(n) filter (where answer = 'breached'), 0) as breached,
        sum(minutes) / nullif(sum(timed), 0) as duration, sum(seconds) / nullif(sum(n) filter (where answered), 0) / 60 as response
      from facts
    )
    select jsonb_build_object(
      'totalConversations', n, 'hotLeads', hot, 'warmLeads', warm, 'coldLeads', cold,
      'conversionRate', coalesce(trim_scale(round(100.0 * converted / nullif(n, 0), 2)), 0),
      'averageDuration', coalesce(trim_scale(round(duration, 2)), 0), 'averageResponseTime', coalesce(trim_scale(round(response::numeric, 2)), 0),
      'leadSourceBreakdown', (
        select coalesce(jsonb_agg(jsonb_build_object('source', source, 'value', n) order by n desc, source), '[]')
        from (select coalesce(source, 'unknown') as source, sum(n) as n from facts group by 1) sources),
      'conversationVolumeTrend', (
        select coalesce(jsonb_agg(jsonb_build_object('date', to_char(day, 'YYYY-MM-DD'), 'count', coalesce(n, 0)) order by day), '[]')
        from generate_series(date_trunc('day', $1 at time zone $3), ($2 at time zone $3) - interval '1 microsecond', interval '1 day') as day
        left join (select date_trunc('day', hour) as day, sum(n) as n from hours group by 1) counted using (day)),
      'leadQualityDistribution', jsonb_build_array(jsonb_build_object('quality', 'hot', 'value', hot),
        jsonb_build_object('quality', 'warm', 'value', warm), jsonb_build_object('quality', 'cold', 'value', cold)),
      'conversionFunnel', jsonb_build_array(jsonb_build_object('stage', 'New', 'value', n),
        jsonb_build_object('stage', 'Qualified', 'value', qualified), jsonb_build_object('stage', 'Contacted', 'value', contacted),
        jsonb_build_object('stage', 'Won', 'value', converted)),
      'agentPerformance', (
        select coalesce(jsonb_agg(jsonb_build_object(
          'agentId', a.id, 'agentName', a.name, 'conversations', f.n, 'conversionRate', trim_scale(round(100.0 * f.converted / f.n, 2)),
          'averageResponseTime', trim_scale(round(f.response::numeric, 2))) order by f.n desc, a.name, a.id), '[]')
        from (select assigned_agent_id as id, sum(n) as n, coalesce(sum(n) filter (where status = 'converted'), 0) as converted,
                sum(seconds) / nullif(sum(n) filter (where answered), 0) / 60 as response
              from facts group by 1) f
        join public.agents a on a.id = f.id),
      'peakHours', (
        select jsonb_agg(jsonb_build_object('hour', hour, 'conversations', coalesce(n, 0)) order by hour)
        from generate_series(0, 23) as hour
        left join (select extract(hour from hour)::integer as hour, sum(n) as n from hours group by 1) counted using (hour)),
      'sla', jsonb_build_object('met', met, 'breached', breached, 'medianResponseSeconds', (
        select percentile.seconds from (
          select seconds, sum(n) over (order by seconds) as up_to, sum(n) over () as all_of_them from answers) percentile
        where up_to * 2 >= all_of_them order by seconds limit 1)))
    from whole $query$;
  v_zone text := coalesce(p ->> 'timeZone', 'Asia/Dubai');
  v_from timestamptz;
  v_to timestamptz;
  v_report jsonb;
begin
  p := leadpipe.authorize(p, 'read');
  begin
    perform now() at time zone v_zone;
  exception when invalid_parameter_value then
    raise exception using errcode = 'LP400', message = 'invalid_time_zone', detail = '{"field": "timeZone"}';
  end;
  v_to := coalesce(leadpipe.parse_moment(p ->> 'to', v_zone, true), now());
  v_from := coalesce(leadpipe.parse_moment(p ->> 'from', v_zone, false),
    (date_trunc('day', v_to at time zone v_zone) - interval '6 days') at time zone v_zone);
  if v_to <= v_from then
    raise exception using errcode = 'LP400', message = 'not_after', detail = '{"field": "to", "other": "from"}';
  elsif v_to > v_from + interval '10 years 1 day' then
    raise exception using errcode = 'LP400', message = 'span_too_long', detail = '{"field": "from", "other": "to"}';
  end if;
  execute c_report into v_report using v_from, v_to, v_zone;
  return v_report || jsonb_build_object('from', leadpipe.iso8601(v_from), 'to', leadpipe.iso8601(v_to), 'timeZone', v_zone);
end
$$;
revoke all on function public.analytics_report(jsonb) from public, anon, authenticated;
grant execute on function public.analytics_report(jsonb) to leadpipe_admin, service_role;
