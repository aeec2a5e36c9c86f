-- Returns the fields of messages in the form in which they are stored. `uuid` is the id of the row: the client id if that
-- is a UUID, otherwise a new one. `given` is false if the client sent no id and one was generated. The caller may send
-- the row's id as rowId; comparing it is cheaper than looking for a UUID.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.message_fields(p jsonb, p_received timestamptz)
returns table (
  client_id text, uuid uuid, sender text, text text, type text, "timestamp" timestamptz, metadata jsonb, "position" bigint,
  given boolean)
language sql stable as $$
  select
    case when is_uuid then lower(named) else named end,
    case when "rowId" is not null then "rowId" when is_uuid then named::uuid else leadpipe.uuid_v7() end,
    coalesce(m.sender, 'customer'), leadpipe.to_nfc(coalesce(m.text, '')), coalesce(m.type, 'text'), coalesce(m."timestamp", p_received),
    coalesce(m.metadata, '{}') || case when is_uuid then '{}' else jsonb_build_object('clientId', named) end, m."position", m.id is not null
  from rows from (
         jsonb_to_recordset(p) as (id text, "rowId" uuid, sender text, text text, type text, "timestamp" timestamptz, metadata jsonb))
       with ordinality as m (id, "rowId", sender, text, type, "timestamp", metadata, "position"),
       -- `offset 0`: evaluated once, not for each use.
       lateral (select coalesce(m.id, leadpipe.uuid_v7()::text) offset 0) as id (named),
       lateral (select case when "rowId" is not null then "rowId"::text = lower(named)
         else lower(named collate "C") ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' end offset 0) as shape (is_uuid)
$$;
revoke all on function leadpipe.message_fields(jsonb, timestamptz) from public, anon, authenticated;
