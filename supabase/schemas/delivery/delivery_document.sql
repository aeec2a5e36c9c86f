-- A delivery as the operator sees it. It takes the row as jsonb, because a parameter of the table's type would keep the
-- table from being dropped. `state` tells apart what `status` keeps together. Nothing in it repeats what a lead says; a
-- recipient may be a mail address.
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
