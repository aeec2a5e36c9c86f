-- Returns what the metadata of a lead says about the signs of a robot that its request has; null if it has none.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.spam_metadata(p jsonb) returns jsonb
language sql immutable as $$
  select case when jsonb_typeof(p -> 'spam') = 'array' and p -> 'spam' <> '[]' then jsonb_build_object('spam', jsonb_build_object(
    'reasons', p -> 'spam', 'at', p -> 'receivedAt')) end
$$;
revoke all on function leadpipe.spam_metadata(jsonb) from public, anon, authenticated;
