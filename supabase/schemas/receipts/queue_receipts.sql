-- Queues the leads of the new events of all transactions since `p_seen`, and returns the place up to which it has read:
-- `seen`. Reads at most about 2,000 events: `is_complete` is false if there are more. Without `p_seen`, and after a
-- restore into another cluster, it queues none and returns the current place. The address may come after the lead, so an
-- addition counts too; see plan_receipt.
create or replace function leadpipe.queue_receipts(p_seen xid8, p_now timestamptz, out seen xid8, out is_complete boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c_most constant integer := 2000;
  v_here pg_snapshot := pg_current_snapshot();
  v_last xid8;
begin
  -- Transactions that have not ended are read by a later call.
  seen := pg_snapshot_xmin(v_here);
  is_complete := true;
  if p_seen is null or p_seen > pg_snapshot_xmax(v_here) or p_seen >= seen then
    return;
  end if;
  select e.xact into v_last from public.lead_events e where e.xact >= p_seen and e.xact < seen order by e.xact offset c_most - 1 limit 1;
  if found then
    seen := (v_last::text::numeric + 1)::text::xid8;
    is_complete := false;
  end if;
  insert into leadpipe.receipt_queue (conversation_id, queued_at)
  select distinct e.conversation_id, p_now from public.lead_events e
  where e.xact >= p_seen and e.xact < seen and e.event_type in ('lead.created', 'lead.updated') and e.conversation_id is not null
  on conflict (conversation_id) do nothing;
end
$$;
revoke all on function leadpipe.queue_receipts(xid8, timestamptz) from public, anon, authenticated;
