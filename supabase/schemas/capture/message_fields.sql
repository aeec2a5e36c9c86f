-- Returns the fields of messages in the form in which they are stored. Of several messages with the same client id,
-- only the first is returned. `uuid` is the client id if that is a UUID. `given` is false if the client sent no id and
-- one was generated.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.message_fields(p jsonb, p_received timestamptz)
returns table (
  client_id text, uuid uuid, sender text, text text, type text, "timestamp" timestamptz, metadata jsonb, "position" bigint,
  given boolean)
language sql stable as $$
  select distinct on (client_id)
    client_id, case when is_uuid then client_id::uuid end, coalesce(sent.sender, 'customer'), leadpipe.to_nfc(coalesce(sent.text, '')),
    coalesce(sent.type, 'text'), coalesce(sent."timestamp", p_received), coalesce(sent.metadata, '{}'), sent."position", given
  from (
    select m.*, m.id is not null as given, is_uuid, case when is_uuid then lower(named) else named end as client_id
    from rows from (jsonb_to_recordset(p) as (id text, sender text, text text, type text, "timestamp" timestamptz, metadata jsonb))
         with ordinality as m (id, sender, text, type, "timestamp", metadata, "position"),
         -- `offset 0`: evaluated once, not for each use.
         lateral (select coalesce(m.id, gen_random_uuid()::text) offset 0) as id (named),
         lateral (select lower(named collate "C") ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' offset 0) as shape (is_uuid)
  ) sent
  order by client_id, sent."position"
$$;
revoke all on function leadpipe.message_fields(jsonb, timestamptz) from public, anon, authenticated;
