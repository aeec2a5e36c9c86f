insert into conversations (id, customer_name) values ('00000000-0000-4000-8000-0000000000c1', 'Lead');
select emit_lead_event('lead.created', '00000000-0000-4000-8000-0000000000c1', '{"source":"chatbot","customerName":"Canary Lead"}');
insert into notification_channels (channel, paused_until, pause_reason) values ('slack', now() + interval '1 h', 'x') on conflict (channel) do update set paused_until = excluded.paused_until;
