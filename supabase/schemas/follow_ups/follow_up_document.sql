-- Returns the title of a follow-up in the timeline.
create or replace function leadpipe.follow_up_title(p_type text, p_date timestamptz) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select format('Follow-up by %s', case p_type when 'call' then 'phone' when 'email' then 'email' when 'sms' then 'SMS' else 'WhatsApp' end)
    || coalesce(' on ' || to_char(p_date at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), '')
$$;
revoke all on function leadpipe.follow_up_title(text, timestamptz) from public, anon, authenticated;

-- Returns a follow-up as shown in the admin interface. Takes the row as jsonb; see delivery_document. An open follow-up
-- whose time has passed is shown as overdue, whatever the status in its row.
create or replace function leadpipe.follow_up_document(f jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', f -> 'id', 'conversationId', f -> 'conversation_id',
    'customerName', (select c.customer_name from public.conversations c where c.id = (f ->> 'conversation_id')::uuid),
    'assignedAgentId', f -> 'assigned_agent_id',
    'assignedAgentName', (select a.name from public.agents a where a.id = (f ->> 'assigned_agent_id')::uuid),
    'followUpDate', leadpipe.iso8601((f ->> 'follow_up_date')::timestamptz), 'reminderType', f -> 'reminder_type',
    'reminderText', f -> 'reminder_text', 'priority', f -> 'priority', 'notifyCustomer', f -> 'notify_customer',
    'remindedAt', leadpipe.iso8601((f ->> 'reminded_for')::timestamptz),
    'status', case when f ->> 'status' in ('scheduled', 'in_progress') and (f ->> 'follow_up_date')::timestamptz < now()
                   then 'overdue' else f ->> 'status' end,
    'notes', f -> 'notes', 'completedAt', leadpipe.iso8601((f ->> 'completed_at')::timestamptz),
    'createdAt', leadpipe.iso8601((f ->> 'created_at')::timestamptz), 'updatedAt', leadpipe.iso8601((f ->> 'updated_at')::timestamptz))
$$;
revoke all on function leadpipe.follow_up_document(jsonb) from public, anon, authenticated;
