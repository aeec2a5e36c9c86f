insert into conversations (id, customer_name) values ('00000000-0000-4000-8000-0000000000c1', 'Lead');
insert into lead_events (id, event_type, conversation_id) values ('00000000-0000-4000-8000-0000000000e1', 'lead.created', '00000000-0000-4000-8000-0000000000c1');
insert into notification_logs (lead_event_id, channel, status) values ('00000000-0000-4000-8000-0000000000e1', 'slack', 'failed');
insert into workers (name) values ('w');
