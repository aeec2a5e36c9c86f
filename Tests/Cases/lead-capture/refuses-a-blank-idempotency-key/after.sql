select (select count(*) from conversations), (select count(*) from lead_events), (select count(*) from chat_messages),
  (select count(*) from idempotency_keys), (select count(*) from customer_identities)
