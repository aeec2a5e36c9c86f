-- Leads that wait together are stored together: one call, one transaction, one flush of the log for all of them.
-- Calls capture_lead of 20251219000001, which runs before it; may be run again at any time.

-- Stores leads one after the other, in their order, as capture_lead would one by one, or none of them when one of them cannot be
-- stored: the caller then tries each by itself. `p` is an array of capture_lead's arguments; the replies come in the same order.
-- What two calls could want at once is locked first, in one order: keys, conversations, telephone numbers and mail addresses.
-- Else each could hold what the other needs. (A single capture_lead beside it takes no such lock: a deadlock with it is rare, is
-- found by PostgreSQL, and the caller tries again.)
create or replace function public.capture_leads(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_lead jsonb;
  v_replies jsonb[] := '{}';
begin
  -- Where somebody holds what one of them needs, the others do not wait for it.
  perform set_config('lock_timeout', '250', true);
  perform pg_advisory_xact_lock(wanted.lock)
  from (
    select distinct hashtextextended(name.value, 11) as lock
    from jsonb_array_elements(p) as sent (lead),
         lateral (values ((lead ->> 'route') || ' ' || (lead #>> '{idempotency,key}')), (lower(lead ->> 'conversationId')),
                         (lead #>> '{lead,customerPhone}'), (lower(lead #>> '{lead,customerEmail}'))) as name (value)
    where name.value is not null
    order by lock
  ) wanted;

  for v_lead in select lead from jsonb_array_elements(p) with ordinality as sent (lead, n) order by n loop
    v_replies := v_replies || public.capture_lead(v_lead);
  end loop;
  return to_jsonb(v_replies);
end
$$;

-- ── Rights ────────────────────────────────────────────────────────────────────────────────────────────────────────────

do $$
begin
  perform public.protect_function('public.capture_leads(jsonb)', 'leadpipe_intake');
end
$$;
