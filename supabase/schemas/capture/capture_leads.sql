-- Stores several leads as capture_lead would one by one, or none of them where one cannot be stored: the caller then
-- repeats each by itself. `p` is an array of capture_lead's arguments; the replies have the same order.
--
-- First it locks everything that two calls could both need, in one order: keys, conversations, phone numbers and mail
-- addresses. A single capture_lead takes no such lock: a deadlock with it is rare, is detected, and the caller repeats
-- the call.
create or replace function public.capture_leads(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  v_new jsonb := '{}';
  v_replies jsonb[] := '{}';
begin
  -- Where another transaction holds what one lead needs, the others do not wait for it.
  perform set_config('lock_timeout', '250', true);
  perform pg_advisory_xact_lock(wanted.lock)
  from (
    select distinct hashtextextended(name, 11) as lock
    from jsonb_array_elements(p) as sent (lead), lateral leadpipe.lead_identifiers(lead) as name
    order by lock
  ) wanted;

  begin
    v_new := leadpipe.capture_new_leads(p);
  exception when unique_violation then
    null;  -- somebody else stored one of them at this moment: they go one by one
  end;

  for n in 1 .. jsonb_array_length(p) loop
    v_replies[n] := coalesce(v_new -> n::text, public.capture_lead(p -> (n - 1)));
  end loop;
  return to_jsonb(v_replies);
end
$$;
revoke all on function public.capture_leads(jsonb) from public, anon, authenticated;
grant execute on function public.capture_leads(jsonb) to leadpipe_intake, service_role;
