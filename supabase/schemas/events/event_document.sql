-- Returns an event with its deliveries, as shown in the admin interface. Takes the row as jsonb; see delivery_document.
create or replace function leadpipe.event_document(e jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', e -> 'id', 'type', e -> 'event_type', 'conversationId', e -> 'conversation_id',
    'payload', leadpipe.shown(e -> 'payload'), 'processed', e -> 'processed', 'retryCount', e -> 'retry_count', 'lastError', e -> 'last_error',
    'createdAt', leadpipe.iso8601((e ->> 'created_at')::timestamptz), 'plannedAt', leadpipe.iso8601((e ->> 'planned_at')::timestamptz),
    'processedAt', leadpipe.iso8601((e ->> 'processed_at')::timestamptz),
    'deliveries', (
      select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'channel', d.channel, 'state', leadpipe.delivery_document(to_jsonb(d)) -> 'state')
        order by d.created_at, d.id), '[]')
      from public.notification_logs d where d.lead_event_id = (e ->> 'id')::uuid))
$$;
revoke all on function leadpipe.event_document(jsonb) from public, anon, authenticated;
