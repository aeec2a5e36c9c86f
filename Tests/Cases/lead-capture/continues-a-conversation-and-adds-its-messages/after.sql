select count(*), min(lead_score), min(lead_quality), min(notes), min(budget), min(customer_email), min(array_to_string(tags, ',')), min(sla_response_deadline) = '2026-11-22T20:00:00Z',
  (select string_agg(event_type::text, ',') from lead_events), (select count(*) from chat_messages) from conversations
