-- Returns a delivery as shown to the operator. Takes the row as jsonb, because a parameter of the table's row type
-- would prevent the table from being dropped. `state` is more specific than `status`. The document contains no data of
-- the lead, but the recipient can be an email address.
create or replace function leadpipe.delivery_document(d jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object(
    'id', d -> 'id', 'eventId', d -> 'lead_event_id', 'conversationId', d -> 'conversation_id', 'channel', d -> 'channel',
    'recipient', d -> 'recipient', 'status', d -> 'status',
    'state', case
      when d ->> 'status' = 'pending' and (d ->> 'lease_until')::timestamptz > now() then 'claimed'
      when d ->> 'status' <> 'failed' then d ->> 'status'
      when d ->> 'next_attempt_at' is not null then 'waiting'
      when d ->> 'outcome_class' = 'unknown' then 'parked'
      else 'given-up' end,
    'class', d -> 'outcome_class', 'tries', d -> 'retry_count', 'reason', d -> 'error_message',
    'createdAt', leadpipe.iso8601((d ->> 'created_at')::timestamptz),
    'nextAttemptAt', leadpipe.iso8601((d ->> 'next_attempt_at')::timestamptz),
    'sentAt', leadpipe.iso8601((d ->> 'sent_at')::timestamptz), 'providerId', d -> 'provider_id',
    'leasedBy', d -> 'leased_by', 'leaseUntil', leadpipe.iso8601((d ->> 'lease_until')::timestamptz),
    'retriedAt', leadpipe.iso8601((d ->> 'retried_at')::timestamptz), 'replayOf', d -> 'replay_of')
$$;
revoke all on function leadpipe.delivery_document(jsonb) from public, anon, authenticated;
