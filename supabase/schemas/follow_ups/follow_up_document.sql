-- How the timeline calls a follow-up.
create or replace function leadpipe.follow_up_title(p_type text, p_date timestamptz) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select format('Follow-up by %s', case p_type when 'call' then 'telephone' when 'email' then 'e-mail' when 'sms' then 'SMS' else 'WhatsApp' end)
    || coalesce(' on ' || to_char(p_date at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), '')
$$;
revoke all on function leadpipe.follow_up_title(text, timestamptz) from public;

-- A follow-up as it is shown, of its row as jsonb: an argument of the table's own type would hold on to the table. What is open and
-- past is overdue, whether or not somebody has written that down.
create or replace function leadpipe.follow_up_document(f jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', f -> 'id', 'conversationId', f -> 'conversation_id',
    'customerName', (select c.customer_name from public.conversations c where c.id = (f ->> 'conversation_id')::uuid),
    'assignedAgentId', f -> 'assigned_agent_id',
    'assignedAgentName', (select a.name from public.agents a where a.id = (f ->> 'assigned_agent_id')::uuid),
    'followUpDate', leadpipe.iso8601((f ->> 'follow_up_date')::timestamptz), 'reminderType', f -> 'reminder_type',
    'reminderText', f -> 'reminder_text', 'priority', f -> 'priority',
    'status', case when f ->> 'status' in ('scheduled', 'in_progress') and (f ->> 'follow_up_date')::timestamptz < now()
                   then 'overdue' else f ->> 'status' end,
    'notes', f -> 'notes', 'completedAt', leadpipe.iso8601((f ->> 'completed_at')::timestamptz),
    'createdAt', leadpipe.iso8601((f ->> 'created_at')::timestamptz), 'updatedAt', leadpipe.iso8601((f ->> 'updated_at')::timestamptz))
$$;
revoke all on function leadpipe.follow_up_document(jsonb) from public;
