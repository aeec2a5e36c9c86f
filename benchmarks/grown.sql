-- Fills a database with a year's data: :conversations conversations with two messages, three events and two timeline
-- entries each, all processed, and their words. The rows are like those that capture_lead writes, but are inserted in
-- bulk.
\set ON_ERROR_STOP on
set synchronous_commit = off;
set session_replication_role = replica;
set client_min_messages = warning;
-- Names, areas and words are distributed unevenly, as in real data: a few are shared by thousands, many are rare.
create function pg_temp.made_up(n bigint) returns text language sql immutable as $$
  select string_agg((array['ba', 'ri', 'zo', 'ne', 'mu', 'ka', 'le', 'shi', 'da', 'to'])[1 + n / (10 ^ place)::bigint % 10], '')
  from generate_series(0, 4) place
$$;
-- An id as leadpipe.uuid_v7 would have made it then.
create function pg_temp.id_of(at timestamptz) returns uuid language sql volatile as $$
  select encode(overlay(uuid_send(leadpipe.uuid_v7()) placing substring(int8send((extract(epoch from at) * 1000)::bigint) from 3) from 1 for 6), 'hex')::uuid
$$;
create temp table filled as
  select n, pg_temp.id_of(at) as id, pg_temp.id_of(at) as customer, at,
    dice[1] & 65535 as one, dice[1] >> 16 & 32767 as two, dice[2] & 65535 as three,
    (array['Nusrat', 'Omar', 'Sara', 'Ivan', 'Mei', 'محمد', 'فاطمة', 'أحمد', 'Zoë', 'Priya'])[1 + (dice[1] & 65535) % 10] as given,
    (array['villa', 'apartment', 'townhouse'])[1 + n % 3] as property, (array['buy', 'rent', 'sell'])[1 + n % 3] as intent,
    -- One in a hundred has a rare area.
    case when n % 100 = 7 then 'Al ' || initcap(pg_temp.made_up(dice[2] & 1023))
      else (array['Al Furjan', 'Dubai Marina', 'Downtown', 'JVC', 'Business Bay', 'Palm Jumeirah'])[1 + (dice[2] & 65535) % 6] end as area
  from generate_series(1, :conversations) n, lateral (select now() - interval '365 days' * (1 - n / :conversations::float8)) as made (at),
    lateral (select array[hashint8(n), hashint8(n * 7)]) as thrown (dice);
insert into agents (name, email)
  select 'Agent ' || n, 'agent.' || n || '@example.com' from generate_series(1, 15) n on conflict do nothing;
insert into conversations (
  id, customer_id, customer_name, customer_phone, customer_email, start_time, end_time, duration_minutes, status, lead_score, lead_quality,
  lead_score_breakdown, budget, budget_amount, property_type, preferred_area, intent, assigned_agent_id, tags, metadata, source, first_response_at,
  sla_response_deadline, sla_breached, follow_up_date, device_info, created_at, updated_at)
select filled.id, customer,
  given || ' ' || case when one % 2 = 0 then (array['Reddy', 'Khan', 'Ahmed', 'Haddad', 'الهاشمي', 'المنصوري'])[1 + two % 6] else initcap(pg_temp.made_up(two)) end,
  '+9715' || lpad(n::text, 8, '0'), 'customer.' || n || '@example.com', at, at + interval '4 minutes', 4,
  case when n % 5 = 0 and at < now() - interval '14 days' then 'lost' else (array['new', 'in-progress', 'completed', 'lost', 'converted'])[1 + n % 5] end, n % 101, case when n % 101 >= 80 then 'hot' when n % 101 >= 50 then 'warm' else 'cold' end,
  '{"source": "server", "budget": 20, "intent": 22, "urgency": 0, "contact": 20, "engagement": 2}',
  case when n % 4 > 0 then format('AED %sM - %s.5M', 1 + two % 9, 1 + two % 9) end, case when n % 4 > 0 then 1e6 * (1.5 + two % 9) end, property, area, intent,
  case when n % 7 > 0 then agent.id end,
  case when n % 10 = 0 then array['family'] when n % 1000 = 1 then array['golden visa', 'مستثمر'] else '{}' end,
  '{"device": "mobile", "utm": {"source": "bayut", "medium": "cpc", "campaign": "brand"}, "referrer": "https://bayut.example/"}',
  case when n % 20 = 0 then 'contact_form' when n % 50 = 1 then 'sell_submission' else 'chatbot' end, case when n % 5 > 0 then at + (1 + one % 90) * interval '1 minute' end,
  at + case when n % 101 >= 80 then interval '15 minutes' when n % 101 >= 50 then interval '1 hour' else interval '1 day' end,
  n % 50 = 0, case when n % 200 = 3 then at + interval '9 days' end, '"mobile"', at, at
from filled join (select id, row_number() over (order by email) - 1 as seat from agents) agent on seat = one % 15;
insert into chat_messages (conversation_id, client_id, sender, message_text, timestamp, created_at, updated_at)
select id, 'msg-' || m, (array['bot', 'customer'])[m],
  case m when 1 then 'Welcome to TrueNester! How can I help you today?'
    else 'hi, looking for ' || property || ' in ' || area || ' to ' || intent || ', near ' || pg_temp.made_up((one::bigint * 32768 + two) % (case when three % 3 = 0 then 100000 else 300 end))
  end, at, at, at
from filled, generate_series(1, 2) m;
insert into customer_identities (kind, value, customer_id)
select 'phone', '+9715' || lpad(n::text, 8, '0'), customer from filled
union all select 'email', 'customer.' || n || '@example.com', customer from filled;
-- Keys are kept for a week.
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
-- The rows that index_conversations would write, all at once, before the indexes are created.
create temp table word_indexes as
  select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition
  from pg_index where indrelid = 'conversation_words'::regclass and not indisprimary;
select 'drop index ' || name from word_indexes \gexec
insert into conversation_words (conversation_id, created_at, lead_score, amount, words)
  select c.id, c.created_at, c.lead_score, c.budget_amount, leadpipe.conversation_terms(c, said.text)
  from conversations c left join lateral (
    select string_agg(message_text, ' ' order by timestamp) from chat_messages where conversation_id = c.id) as said (text) on true;
select definition from word_indexes \gexec
insert into known_words select distinct lexeme from conversation_words, unnest(words) where lexeme !~ '=|^[0-9]+$' on conflict do nothing;
vacuum analyze;
checkpoint;
