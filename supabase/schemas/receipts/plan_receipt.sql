-- Decides whether a new lead gets a receipt, once: as soon as it has an email address, within an hour of its creation.
-- Returns `planned` with an event and its delivery, `limited` with an event that says why there is none, `none` if it gets
-- none, or has one, or `locked` if another session has locked the lead. `p_may_plan` is false if the limit for all
-- receipts has been reached.
--
-- A lead that is not new any more, that was erased, or whose event was born processed gets none. Neither do test leads
-- of `leadpipe check`, and addresses of services, whose answers nobody reads.
create or replace function leadpipe.plan_receipt(p_id uuid, p_may_plan boolean, p_now timestamptz) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
  v_address text;
  v_hash bytea;
  v_reason text;
  v_event uuid;
begin
  -- As an erasure locks it, which removes what was planned before and makes this function see what it has done.
  select * into c from public.conversations o where o.id = p_id for no key update skip locked;
  if not found then
    return case when exists (select from public.conversations o where o.id = p_id) then 'locked' else 'none' end;
  end if;
  v_address := leadpipe.agent_address(c.customer_email);
  if v_address is null or c.status <> 'new' or c.erased_at is not null or c.created_at <= p_now - interval '1 hour'
    or leadpipe.is_test_lead(c.id, c.customer_name, c.metadata)
    or coalesce(c.source, '') not in ('chatbot', 'contact_form', 'property_inquiry', 'sell_submission')
    or lower(v_address) ~ '^(mailer-daemon|postmaster|abuse|no-?reply|do-?not-?reply|bounces?)([+.-][^@]*)?@'
    or exists (select from leadpipe.receipts r where r.conversation_id = p_id)
    or not exists (select from public.lead_events e where e.conversation_id = p_id and e.event_type = 'lead.created'
                   and e.planned_at is distinct from e.created_at)
  then
    return 'none';
  end if;

  v_hash := sha256(convert_to(leadpipe.receipt_address(v_address), 'UTF8'));
  v_reason := coalesce(leadpipe.refuse_receipt(v_hash, p_now),
    case when not p_may_plan then 'the limit for all receipts in a minute was reached' end);
  insert into leadpipe.receipts (conversation_id, address, decided_at, reason) values (p_id, v_hash, p_now, v_reason);
  insert into public.lead_events (event_type, conversation_id, payload, processed, processed_at, planned_at, created_at, updated_at, request_id)
  select 'lead.receipt', p_id, jsonb_strip_nulls(jsonb_build_object('source', c.source,
      'language', case when lower(c.metadata ->> 'language') ~ '^ar([-_]|$)' then 'ar' else 'en' end, 'notSent', v_reason)),
    v_reason is not null, case when v_reason is not null then p_now end, p_now, p_now, p_now,
    (select e.request_id from public.lead_events e where e.conversation_id = p_id and e.event_type = 'lead.created' order by e.created_at limit 1)
  returning id into v_event;
  if v_reason is not null then
    insert into public.conversation_timeline (conversation_id, event_type, title, description)
    values (p_id, 'notification_sent', 'No receipt for the visitor', v_reason);
    return 'limited';
  end if;
  insert into public.notification_logs (lead_event_id, event_at, conversation_id, channel, recipient, to_visitor, paused_before, created_at, updated_at)
  values (v_event, p_now, p_id, 'email', v_address, true, leadpipe.paused_seconds('email', p_now), p_now, p_now);
  return 'planned';
end
$$;
revoke all on function leadpipe.plan_receipt(uuid, boolean, timestamptz) from public, anon, authenticated;
