-- Records the outcomes of deliveries of unsent leads, as record_outcomes does for those of events, and deletes the leads
-- that have been sent on every channel. All other deliveries are `lost`.
create or replace function leadpipe.record_direct(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_ids constant uuid[] := array(select o.id from jsonb_to_recordset(p -> 'outcomes') as o (id uuid));
  v_leads constant uuid[] := array(select distinct d.lead_id from leadpipe.direct_deliveries d where d.id = any (v_ids));
  v_recorded uuid[];
  v_events jsonb;
begin
  -- Leads first: if two calls record the last two deliveries of a lead, the second sees what the first wrote.
  perform from leadpipe.unsent_leads u where u.id = any (v_leads) order by u.id for update;

  with outcome as (
    select distinct on (o.id, o.fence) o.* from jsonb_to_recordset(p -> 'outcomes') as o (
      id uuid, fence bigint, class text, status text, burned boolean, "retryInSeconds" double precision, reason text)
    where o.status in ('sent', 'failed', 'pending') order by o.id, o.fence
  ), changed as (
    update leadpipe.direct_deliveries d set
      status = o.status,
      outcome_class = case o.status when 'pending' then d.outcome_class else left(o.class, 50) end,
      may_have_arrived = d.may_have_arrived or o.status = 'failed' and o.class = 'unknown',
      -- If the lease has expired, the attempt is already counted.
      retry_count = greatest(d.retry_count - (d.status = 'failed')::integer + coalesce(o.burned, false)::integer, 0),
      error_message = case o.status when 'failed' then left(coalesce(o.reason, o.class, 'failed'), 500) when 'pending' then d.error_message end,
      due_at = case o.status when 'pending' then d.due_at when 'failed' then v_now + make_interval(secs => o."retryInSeconds") end,
      lease_until = null, leased_by = null
    from outcome o
    where d.id = o.id and d.fence = o.fence
      and (d.status = 'sending' or d.status = 'failed' and d.outcome_class = 'unknown' and d.lease_until is null and o.class <> 'unknown')
    returning d.id
  )
  select coalesce(array_agg(id order by id), '{}') into v_recorded from changed;

  select jsonb_agg(jsonb_build_object('eventId', id, 'settled', settled, 'closed', closed, 'sent', sent, 'failed', failed) order by id)
  into v_events
  from (
    select d.lead_id as id, bool_and(d.status not in ('pending', 'sending')) as settled,
      bool_and(d.status not in ('pending', 'sending') and d.due_at is null) as closed,
      coalesce(array_agg(distinct d.channel) filter (where d.status = 'sent'), '{}')::text[] as sent,
      coalesce(array_agg(distinct d.channel) filter (where d.status = 'failed'), '{}')::text[] as failed
    from leadpipe.direct_deliveries d where d.lead_id = any (v_leads) group by d.lead_id
  ) standing;
  delete from leadpipe.unsent_leads u
  where u.id = any (v_leads) and not exists (select from leadpipe.direct_deliveries d where d.lead_id = u.id and d.status <> 'sent');

  return jsonb_build_object('pauses', jsonb_build_array(), 'recorded', to_jsonb(v_recorded),
    'lost', (select coalesce(jsonb_agg(distinct asked.id), '[]') from unnest(v_ids) as asked (id) where asked.id <> all (v_recorded)),
    'events', coalesce(v_events, '[]'));
end
$$;
revoke all on function leadpipe.record_direct(jsonb) from public, anon, authenticated;
