-- Records new conversations in conversation_changes. This trigger function and those below run with the privileges of
-- the writing role, which may insert into that table.
create or replace function leadpipe.mark_new_conversations() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into public.conversation_changes select id from changed;
  return null;
end
$$;
revoke all on function leadpipe.mark_new_conversations() from public, anon, authenticated;

-- Records the conversations of messages that were added or deleted.
create or replace function leadpipe.mark_changed_messages() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into public.conversation_changes select distinct conversation_id from changed;
  return null;
end
$$;
revoke all on function leadpipe.mark_changed_messages() from public, anon, authenticated;

-- Records the conversation of a message that has changed.
create or replace function leadpipe.mark_changed_message() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into public.conversation_changes values (new.conversation_id);
  return null;
end
$$;
revoke all on function leadpipe.mark_changed_message() from public, anon, authenticated;

-- Records a conversation that has changed.
create or replace function leadpipe.mark_changed_conversation() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into public.conversation_changes values (new.id);
  return null;
end
$$;
revoke all on function leadpipe.mark_changed_conversation() from public, anon, authenticated;

create or replace trigger conversations_new_words after insert on public.conversations
  referencing new table as changed for each statement execute function leadpipe.mark_new_conversations();
create or replace trigger conversations_changed_words
  after update of customer_name, customer_phone, customer_email, tags, notes, status, lead_score, lead_quality, budget_amount, preferred_area, intent,
    assigned_agent_id, source, first_response_at, sla_response_deadline, sla_breached, created_at on public.conversations
  for each row when (
    (old.customer_name, old.customer_phone, old.customer_email, old.tags, old.notes, old.status, old.lead_score, old.lead_quality, old.budget_amount,
     old.preferred_area, old.intent, old.assigned_agent_id, old.source, old.first_response_at, old.sla_response_deadline, old.sla_breached,
     old.created_at)
    is distinct from
    (new.customer_name, new.customer_phone, new.customer_email, new.tags, new.notes, new.status, new.lead_score, new.lead_quality, new.budget_amount,
     new.preferred_area, new.intent, new.assigned_agent_id, new.source, new.first_response_at, new.sla_response_deadline, new.sla_breached,
     new.created_at))
  execute function leadpipe.mark_changed_conversation();
create or replace trigger chat_messages_new_words after insert on public.chat_messages
  referencing new table as changed for each statement execute function leadpipe.mark_changed_messages();
create or replace trigger chat_messages_changed_words after update of message_text on public.chat_messages
  for each row when (old.message_text is distinct from new.message_text) execute function leadpipe.mark_changed_message();
create or replace trigger chat_messages_gone_words after delete on public.chat_messages
  referencing old table as changed for each statement execute function leadpipe.mark_changed_messages();
