-- Returns the identifiers that two leads can share: idempotency key, conversation, phone number and email address.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.lead_identifiers(p jsonb) returns table (name text)
language sql stable as $$
  select value
  from (values ((p ->> 'route') || ' ' || (p #>> '{idempotency,key}')), (lower(p ->> 'conversationId')),
               (p #>> '{lead,customerPhone}'), (lower(p #>> '{lead,customerEmail}'))) as said (value)
  where value is not null
$$;
revoke all on function leadpipe.lead_identifiers(jsonb) from public, anon, authenticated;
