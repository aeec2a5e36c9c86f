insert into conversations (id, customer_name) values ('00000000-0000-4000-8000-0000000000c1', 'Lead');
insert into lead_events (id, event_type, conversation_id, created_at) values ('00000000-0000-4000-8000-0000000000e1', 'lead.created', '00000000-0000-4000-8000-0000000000c1', now()), ('00000000-0000-4000-8000-0000000000e2', 'lead.created', '00000000-0000-4000-8000-0000000000c1', now() - interval '5 minutes');
insert into notification_logs (lead_event_id, channel, status, created_at) values ('00000000-0000-4000-8000-0000000000e1', 'slack', 'failed', now()), ('00000000-0000-4000-8000-0000000000e2', 'slack', 'failed', now() - interval '5 minutes');
insert into workers (name, last_seen) values ('w', '2026-11-22T10:00:59.5Z');
