-- Stores a lead: conversation, messages, customer, event and timeline entry, or nothing. New or known is looked up without a lock, so
-- that it can be otherwise a moment later: then it is looked up again.
create or replace function public.capture_lead(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  v_reply jsonb;
begin
  for attempt in 1 .. 5 loop
    begin
      v_reply := coalesce(leadpipe.capture_new_leads(jsonb_build_array(p), attempt > 1) -> '1', leadpipe.capture_known_lead(p));
    exception when unique_violation then
      -- Somebody else stored the same at this moment; or a conversation has a key that was pruned since.
      v_reply := null;
      update public.conversations set idempotency_key = null
      where idempotency_key = (p ->> 'route') || ':' || (p #>> '{idempotency,key}')
        and not exists (select from public.idempotency_keys k where k.route = p ->> 'route' and k.key = p #>> '{idempotency,key}');
    end;
    if v_reply is not null then
      return v_reply;
    end if;
  end loop;
  raise exception 'other requests store the same lead all the time' using errcode = 'LPTRY';
end
$$;
revoke all on function public.capture_lead(jsonb) from public, anon, authenticated;
grant execute on function public.capture_lead(jsonb) to leadpipe_intake, service_role;
