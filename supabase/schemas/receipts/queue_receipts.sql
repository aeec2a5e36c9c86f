-- Queues the leads of the events that have become visible since the snapshot `p_seen`, of at most the latest 20,000, and
-- returns the current snapshot. Without `p_seen`, and after a restore into another cluster, it queues none. Comparing
-- snapshots misses no event, and a long transaction does not delay others. The address may come after the lead, so an
-- addition counts too; see plan_receipt.
create or replace function leadpipe.queue_receipts(p_seen pg_snapshot, p_now timestamptz) returns pg_snapshot
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c_most constant integer := 20000;
  v_here constant pg_snapshot := pg_current_snapshot();
begin
  if p_seen is null or pg_snapshot_xmax(p_seen) > pg_snapshot_xmax(v_here) then
    return v_here;
  end if;
  insert into leadpipe.receipt_queue (conversation_id, queued_at)
  select distinct c.id, p_now
  from (
    (select e.conversation_id, e.event_type, e.xact from public.lead_events e
     where e.xact >= pg_snapshot_xmax(p_seen) and e.xact < pg_snapshot_xmax(v_here) order by e.xact desc limit c_most)
    union all
    select e.conversation_id, e.event_type, e.xact from public.lead_events e
    where e.xact = any (array(select pg_snapshot_xip(p_seen)))
  ) e join public.conversations c on c.id = e.conversation_id
  where pg_visible_in_snapshot(e.xact, v_here) and e.event_type in ('lead.created', 'lead.updated')
    -- As plan_receipt decides, which locks the lead: most additions need no decision.
    and c.status = 'new' and c.customer_email is not null and c.created_at > p_now - interval '1 hour'
    and not exists (select from leadpipe.receipts r where r.conversation_id = c.id)
  on conflict (conversation_id) do nothing;
  return v_here;
end
$$;
revoke all on function leadpipe.queue_receipts(pg_snapshot, timestamptz) from public, anon, authenticated;
