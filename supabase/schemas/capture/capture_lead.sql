-- Stores a lead (conversation, messages, customer, event and timeline entry) or nothing. Whether it is new is looked up
-- without a lock; if that changes meanwhile, it is looked up again.
--
-- The caller has validated the fields and chosen score, deadline and wording. The functions keep the invariants: one
-- conversation per idempotency key, one customer per phone number or mail address, and a stranger who knows an id
-- changes nothing. A known conversation is locked in one order: key, conversation, phone, mail, messages. New rows are
-- written in the order that PostgreSQL chooses; a deadlock is detected, and the caller repeats the call.
--
-- After the clean-up that drops the event tables capture goes on without them, hence to_regclass at each call.
-- enable_seqscan is off, and sub-selects replace joins, because a plan that was kept from when a table was small must
-- not read all of it later. plan_cache_mode: planning costs more than any of these statements.
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
      -- A concurrent call stored the same lead, or a conversation has a key that was pruned since.
      v_reply := null;
      update public.conversations set idempotency_key = null
      where idempotency_key = (p ->> 'route') || ':' || (p #>> '{idempotency,key}')
        and not exists (select from public.idempotency_keys k where k.route = p ->> 'route' and k.key = p #>> '{idempotency,key}');
    end;
    if v_reply is not null then
      return v_reply;
    end if;
  end loop;
  raise exception using errcode = 'LPTRY', message = 'write_conflict';
end
$$;
revoke all on function public.capture_lead(jsonb) from public, anon, authenticated;
grant execute on function public.capture_lead(jsonb) to leadpipe_intake, service_role;
