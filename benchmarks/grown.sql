-- A database as a year leaves it: :conversations conversations of two messages each, three events and two entries in the timeline for
-- each, all delivered. Rows of the kind that capture_lead writes, in bulk.
\set ON_ERROR_STOP on
set synchronous_commit = off;
set session_replication_role = replica;
set client_min_messages = warning;
create temp table filled as
  select n, gen_random_uuid() as id, gen_random_uuid() as customer, now() - interval '365 days' * (1 - n / :conversations::float8) as at
  from generate_series(1, :conversations) n;
insert into agents (name, email)
  select 'Agent ' || n, 'agent.' || n || '@example.com' from generate_series(1, 15) n on conflict do nothing;
insert into conversations (
  id, customer_id, customer_name, customer_phone, customer_email, start_time, end_time, duration_minutes, status, lead_score, lead_quality,
  lead_score_breakdown, budget, property_type, preferred_area, intent, assigned_agent_id, metadata, source, first_response_at,
  sla_response_deadline, sla_breached, device_info, created_at, updated_at)
select id, customer, (array['Nusrat', 'Omar', 'Sara', 'Ivan', 'Mei'])[1 + n % 5] || ' ' || (array['Reddy', 'Khan', 'Ahmed', 'Haddad'])[1 + n % 4] || ' ' || n,
  '+9715' || lpad(n::text, 8, '0'), 'customer.' || n || '@example.com', at, at + interval '4 minutes', 4,
  (array['new', 'in-progress', 'completed', 'lost', 'converted'])[1 + n % 5], n % 101, (array['cold', 'cold', 'warm', 'hot'])[1 + n % 4],
  '{"source": "server", "budget": 20, "intent": 22, "urgency": 0, "contact": 20, "engagement": 2}', 'AED 3M - 3.5M',
  (array['villa', 'apartment', 'townhouse'])[1 + n % 3], (array['Al Furjan', 'Dubai Marina', 'Downtown', 'JVC'])[1 + n % 4],
  (array['buy', 'rent', 'sell'])[1 + n % 3], (select id from agents offset 0 limit 1),
  '{"device": "mobile", "utm": {"source": "bayut", "medium": "cpc", "campaign": "brand"}, "referrer": "https://bayut.example/"}',
  'chatbot', case when n % 5 > 0 then at + interval '20 minutes' end, at + interval '1 hour', n % 50 = 0, '"mobile"', at, at
from filled;
insert into chat_messages (conversation_id, client_id, sender, message_text, timestamp, created_at, updated_at)
select id, 'msg-' || m, (array['bot', 'customer'])[m],
  (array['Welcome to TrueNester! How can I help you today?', 'hi, looking for villa in Al Furjan to buy'])[m], at, at, at
from filled, generate_series(1, 2) m;
insert into customer_identities (kind, value, customer_id)
select 'phone', '+9715' || lpad(n::text, 8, '0'), customer from filled
union all select 'email', 'customer.' || n || '@example.com', customer from filled;
-- They are kept for a week.
insert into idempotency_keys (route, key, body_sha256, conversation_id, created_at)
select 'lead-capture', 'filled-' || n, sha256(n::text::bytea), id, at from filled where at > now() - interval '7 days';
insert into lead_events (event_type, conversation_id, payload, processed, processed_at, planned_at, created_at, updated_at)
select (array['lead.created', 'lead.assigned', 'lead.contacted'])[m]::lead_event_type, id,
  jsonb_build_object('customerName', 'Customer ' || n, 'customerPhone', '+9715' || lpad(n::text, 8, '0'), 'customerEmail', 'customer.' || n || '@example.com',
    'intent', 'buy', 'budget', 'AED 3M - 3.5M', 'propertyType', 'villa', 'preferredArea', 'Al Furjan', 'leadScore', 64, 'source', 'chatbot'),
  true, at + interval '1 second', at, at, at + interval '1 second'
from filled, generate_series(1, 3) m;
insert into conversation_timeline (conversation_id, event_type, title, description, created_at)
select id, (array['created', 'note_added'])[m]::timeline_event_type, (array['Lead Created', 'Lead Updated'])[m], 'Captured from chatbot', at
from filled, generate_series(1, 2) m;
vacuum analyze;
checkpoint;
