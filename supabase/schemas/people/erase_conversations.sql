-- Removes the personal data of conversations: names, numbers, addresses, all text that people wrote, and what was made
-- from it. Rows, times, scores and amounts stay, so that counts do not change. Open conversations become lost, open
-- follow-ups are cancelled, and deliveries that have not been sent never are. Returns how many deliveries these were.
-- Raises LPTRY if an event was added meanwhile.
create or replace function leadpipe.erase_conversations(p_ids uuid[], p_by text) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  c_reason constant text := 'cancelled: the person''s data was erased';
  v_now timestamptz;
  v_events uuid[];
  v_digests uuid[];
  v_locked uuid[];
  v_cancelled integer := 0;
  v_words text[];
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is not null then
    -- Lock events first, as in all functions. FOR UPDATE also keeps new deliveries from being added to them.
    v_digests := array(select leadpipe.digests_about(p_ids));
    v_locked := array(
      select e.id from public.lead_events e where e.conversation_id = any (p_ids) or e.id = any (v_digests) order by e.id for update);
    v_events := array(select e.id from public.lead_events e where e.conversation_id = any (p_ids) and e.id = any (v_locked));
  end if;
  perform from public.conversations c where c.id = any (p_ids) order by c.id for no key update;
  v_now := clock_timestamp();
  if to_regclass('public.lead_events') is not null then
    -- A capture or a digest that held the lock on a conversation has added an event, which is not locked.
    if exists (select from public.lead_events e where e.conversation_id = any (p_ids) and e.id <> all (v_events))
      or exists (select from leadpipe.digests_about(p_ids) as d (id) where d.id <> all (v_locked)) then
      raise exception using errcode = 'LPTRY', message = 'write_conflict';
    end if;
    select count(*) into v_cancelled from public.notification_logs d where d.lead_event_id = any (v_events) and d.due_at is not null;
    update public.notification_logs d set
      subject = null, payload = null, updated_at = v_now,
      -- The team's address, unless it is a receipt or another program has written to the customer.
      recipient = case when d.to_visitor or exists (
        select from public.conversations c where c.id = d.conversation_id
          and (lower(d.recipient) = lower(c.customer_email)
            or leadpipe.phone_digits(d.recipient) = nullif(leadpipe.phone_digits(c.customer_phone), ''))) then 'erased ' || d.id else d.recipient end,
      -- A worker that is sending it cannot be stopped, and its outcome is not recorded any more.
      error_message = case when d.status = 'sending' then 'the person''s data was erased while it was being sent'
        when d.due_at is not null then c_reason when d.status = 'failed' then 'failed; the reason was erased' end,
      outcome_class = case when d.status = 'sending' then 'unknown' when d.due_at is not null then 'permanent' else d.outcome_class end,
      status = case when d.due_at is not null then 'failed' else d.status end,
      fence = case when d.due_at is not null then d.fence + 1 else d.fence end,
      next_attempt_at = null, lease_until = null, leased_by = null
    where d.lead_event_id = any (v_events);
    update public.lead_events e set
      payload = '{"erased": true}', idempotency_key = null, planned_at = coalesce(e.planned_at, v_now), processed = true,
      processed_at = coalesce(e.processed_at, v_now), last_error = case when not e.processed then c_reason end, updated_at = v_now
    where e.id = any (v_events);
    perform leadpipe.erase_digests(v_digests, p_ids, v_now);
  end if;
  if to_regclass('public.conversation_timeline') is not null then
    update public.conversation_timeline t set
      title = case t.event_type when 'created' then 'New lead' else t.title end, description = null, metadata = '{}',
      actor_name = case when t.actor_type = 'customer' then null else t.actor_name end
    where t.conversation_id = any (p_ids);
    perform public.add_timeline_entry(id, 'note_added', 'Personal data erased', null, 'system', null, p_by, '{}') from unnest(p_ids) as id;
  end if;
  if to_regclass('public.follow_up_tasks') is not null then
    update public.follow_up_tasks f set
      reminder_text = null, notes = null, status = case when f.status in ('completed', 'cancelled') then f.status else 'cancelled' end
    where f.conversation_id = any (p_ids);
  end if;
  delete from public.lead_tags where conversation_id = any (p_ids);
  update public.conversation_summaries set summary = null where conversation_id = any (p_ids);
  update public.chat_messages set message_text = '', metadata = null, client_id = null where conversation_id = any (p_ids);
  delete from public.idempotency_keys where conversation_id = any (p_ids);
  delete from leadpipe.receipts where conversation_id = any (p_ids);
  delete from leadpipe.unsent_leads where conversation_id = any (p_ids);
  delete from leadpipe.assignment_turns where conversation_id = any (p_ids);
  delete from leadpipe.assignment_decisions where conversation_id = any (p_ids);
  perform leadpipe.erase_set_aside(p_ids);
  update public.conversations c set
    customer_id = null, customer_name = null, customer_phone = null, customer_email = null, budget = null, property_type = null,
    preferred_area = null, tags = '{}', notes = null, conversation_summary = null, outcome = null, lead_score_breakdown = null,
    metadata = null, device_info = null, idempotency_key = null, follow_up_date = null, erased_at = v_now,
    intent = case when c.intent in ('buy', 'rent', 'sell', 'invest', 'browse') then c.intent end,
    status = case when c.status in ('new', 'in-progress', 'spam') then 'lost' else c.status end,
    -- Closing must not hide that nobody answered in time.
    sla_breached = c.sla_breached or c.status in ('new', 'in-progress') and c.first_response_at is null
      and coalesce(c.sla_response_deadline <= v_now, false)
  where c.id = any (p_ids);

  -- The word index: words that no other conversation contains.
  insert into leadpipe.index_lock default values on conflict do nothing;
  perform from leadpipe.index_lock for update;
  v_words := array(
    select distinct lexeme from public.conversation_words w, unnest(w.words)
    where w.conversation_id = any (p_ids) and lexeme !~ '=|^[0-9]+$');
  delete from public.conversation_words where conversation_id = any (p_ids);
  perform leadpipe.forget_words(v_words);
  -- For the listeners of the live feed.
  if to_regclass('public.lead_events') is not null then
    perform public.emit_lead_event('lead.updated', id, '{"erased": true}') from unnest(p_ids) as id;
  end if;
  return v_cancelled;
end
$$;
revoke all on function leadpipe.erase_conversations(uuid[], text) from public, anon, authenticated;
