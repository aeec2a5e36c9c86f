-- Updates events from their deliveries, and returns their state. `settled`: no delivery is pending or being sent.
-- `closed`: every delivery is final.
create or replace function leadpipe.settle_events(p_events uuid[])
returns table (event_id uuid, settled boolean, closed boolean, sent text[], failed text[])
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
begin
  return query
  with standing as (
    select d.lead_event_id as id,
      bool_and(d.status not in ('pending', 'sending')) as settled,
      bool_and(d.status not in ('pending', 'sending') and d.due_at is null) as closed,
      array_agg(distinct d.channel) filter (where d.status in ('sent', 'delivered'))::text[] as sent,
      array_agg(distinct d.channel) filter (where d.status = 'failed')::text[] as failed,
      max(d.retry_count) filter (where d.status = 'failed') as retries,
      (array_agg(d.channel::text || ': ' || coalesce(d.error_message, 'failed') order by d.updated_at desc)
        filter (where d.status = 'failed'))[1] as last_error
    from public.notification_logs d where d.lead_event_id = any (p_events)
    group by d.lead_event_id
  ), brought_into_line as (
    update public.lead_events e set
      processed = s.closed,
      processed_at = case when s.closed then coalesce(e.processed_at, clock_timestamp()) end,
      retry_count = coalesce(s.retries, e.retry_count),
      last_error = s.last_error,
      updated_at = clock_timestamp()
    from standing s
    where e.id = s.id and e.id = any (p_events)
      and (e.processed, e.retry_count, e.last_error) is distinct from (s.closed, coalesce(s.retries, e.retry_count), s.last_error)
  )
  select s.id, s.settled, s.closed, coalesce(s.sent, '{}'), coalesce(s.failed, '{}') from standing s;
end
$$;
revoke all on function leadpipe.settle_events(uuid[]) from public, anon, authenticated;
