-- Stores several leads with the same result as one call of capture_lead for each. If one of them cannot be stored, none
-- is stored, and the caller must retry each lead separately. `p` is an array of arguments of capture_lead; the replies
-- have the same order.
--
-- It first takes advisory locks, in a fixed order, on everything that two calls could both need: keys, conversations,
-- phone numbers and email addresses. capture_lead takes no such locks. A deadlock with it is rare and is detected, and
-- the caller retries the call.
create or replace function public.capture_leads(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  v_new jsonb := '{}';
  v_replies jsonb[] := '{}';
begin
  perform leadpipe.check_lead(sent.lead) from jsonb_array_elements(p) as sent (lead);
  if p @? '$[*].idempotency.client' then
    p := (select jsonb_agg(leadpipe.name_repeat(sent.lead) order by n) from jsonb_array_elements(p) with ordinality as sent (lead, n));
  end if;
  -- In milliseconds. If another transaction holds a lock that one lead needs, the other leads must not wait for it.
  perform set_config('lock_timeout', '250', true);
  perform pg_advisory_xact_lock(wanted.lock)
  from (
    select distinct hashtextextended(name, 11) as lock
    from jsonb_array_elements(p) as sent (lead), lateral leadpipe.lead_identifiers(lead) as name
    order by lock
  ) wanted;

  begin
    v_new := leadpipe.capture_new_leads(p);
  exception when unique_violation or undefined_table then
    null;  -- a concurrent call has just stored one of them, or dropped the event tables, so capture them one by one
  end;

  for n in 1 .. jsonb_array_length(p) loop
    v_replies[n] := coalesce(v_new -> n::text, public.capture_lead(p -> (n - 1)));
  end loop;
  return to_jsonb(v_replies);
end
$$;
revoke all on function public.capture_leads(jsonb) from public, anon, authenticated;
grant execute on function public.capture_leads(jsonb) to leadpipe_intake, service_role;
