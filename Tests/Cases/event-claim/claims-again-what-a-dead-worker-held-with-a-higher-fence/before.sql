insert into conversations (id, customer_name) values ('00000000-0000-4000-8000-0000000000c1', 'Lead');
select emit_lead_event('lead.created', '00000000-0000-4000-8000-0000000000c1', '{"source":"chatbot","customerName":"Canary Lead"}');
select claim_deliveries('{"worker":"dead","channels":[{"channel":"slack","recipient":"default"}]}');
update notification_logs set lease_until = now() - interval '1 s';
