-- Releases deliveries that were claimed but not begun. They are due again immediately, and no attempt is used up.
-- Releases the deliveries of `worker`, or only those in `ids`. With `host` and `alive`, it also releases those of other
-- workers on this host (named host:pid) that are not in `alive`. If such a worker is alive after all, it cannot begin
-- the deliveries that it has lost.
create or replace function public.release_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_count integer;
  v_direct integer;
begin
  with mine as materialized (
    select d.id from leadpipe.direct_deliveries d
    where d.status = 'pending' and d.lease_until > v_now
      and ((d.leased_by = p ->> 'worker' and (p -> 'ids' is null or p -> 'ids' ? d.id::text))
        or (starts_with(d.leased_by, (p ->> 'host') || ':') and not coalesce(p -> 'alive' ? d.leased_by, false)
          and d.leased_by <> p ->> 'worker'))
    order by d.id for no key update skip locked
  )
  update leadpipe.direct_deliveries d set lease_until = null, leased_by = null from mine where d.id = mine.id;
  get diagnostics v_direct = row_count;
  -- The roll-back drops this table.
  if to_regclass('public.notification_logs') is null then
    return jsonb_build_object('released', v_direct);
  end if;
  with mine as materialized (
    select d.id from public.notification_logs d
    where d.is_held and d.status = 'pending' and d.lease_until > v_now
      and ((d.leased_by = p ->> 'worker' and (p -> 'ids' is null or p -> 'ids' ? d.id::text))
        or (starts_with(d.leased_by, (p ->> 'host') || ':') and not coalesce(p -> 'alive' ? d.leased_by, false)
          and d.leased_by <> p ->> 'worker'))
    order by d.id for no key update skip locked
  )
  update public.notification_logs d set lease_until = null, leased_by = null from mine where d.id = mine.id;
  get diagnostics v_count = row_count;
  return jsonb_build_object('released', v_count + v_direct);
end
$$;
revoke all on function public.release_deliveries(jsonb) from public, anon, authenticated;
grant execute on function public.release_deliveries(jsonb) to leadpipe_worker, service_role;
