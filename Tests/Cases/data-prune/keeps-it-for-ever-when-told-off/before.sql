insert into conversations (id, customer_name) values ('00000000-0000-4000-8000-0000000000c1', 'Lead');
insert into lead_events (conversation_id, event_type, planned_at, processed, processed_at, created_at)
  select '00000000-0000-4000-8000-0000000000c1', 'lead.created', now(), n > 1, case when n > 1 then now() - interval '91 days' end, now() - interval '91 days' from generate_series(1, 251) n;
insert into notification_logs (lead_event_id, conversation_id, channel, status, created_at, next_attempt_at)
  select id, '00000000-0000-4000-8000-0000000000c1', 'slack', case when processed then 'sent' else 'failed' end, created_at, case when processed then null else now() + interval '1 h' end from lead_events;
insert into notification_attempts (delivery, fence, attempt, started_at) select id, 1, 1, created_at from notification_logs;
insert into idempotency_keys (route, key, body_sha256, created_at) values ('r', 'old', '', now() - interval '8 days'), ('r', 'new', '', now());
