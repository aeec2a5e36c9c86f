-- Stores a lead (conversation, messages, customer, event and timeline entry) or nothing. Whether the lead is new is
-- checked without a lock. If a concurrent call changes that, it is checked again, up to 5 times.
--
-- The caller has validated the fields and chosen the score, deadline and texts. The functions enforce the invariants:
-- one conversation per idempotency key, one customer per phone number or email address, and a request that only has a
-- conversation's id does not overwrite its values. An existing conversation and its rows are locked in this order: key,
-- conversation, phone number, email address, messages. New rows are written in the order that PostgreSQL chooses.
-- PostgreSQL detects a deadlock, and the caller retries the call.
--
-- Capture still works after the clean-up has dropped the event tables, hence to_regclass in each call. enable_seqscan
-- is off and sub-selects replace joins, because a plan that was cached while a table was small must not scan the table
-- once it has grown. plan_cache_mode: planning costs more than running any of these statements.
create or replace function public.capture_lead(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  v_reply jsonb;
begin
  perform leadpipe.check_lead(p);
  if p #>> '{idempotency,client}' is not null then
    p := leadpipe.name_repeat(p);
  end if;
  for attempt in 1 .. 5 loop
    begin
      v_reply := coalesce(
        case when attempt = 1 then leadpipe.capture_new_lead(p) else leadpipe.capture_new_leads(jsonb_build_array(p), true) -> '1' end,
        leadpipe.capture_known_lead(p));
    exception when unique_violation then
      -- A concurrent call stored the same lead, or a conversation still has a key that has been pruned.
      v_reply := null;
      update public.conversations set idempotency_key = null
      where idempotency_key = (p ->> 'route') || ':' || (p #>> '{idempotency,key}')
        and not exists (select from public.idempotency_keys k where k.route = p ->> 'route' and k.key = p #>> '{idempotency,key}');
    when undefined_table then
      -- The roll-back has dropped a table after to_regclass had found it.
      if attempt = 5 then
        raise;
      end if;
      v_reply := null;
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
