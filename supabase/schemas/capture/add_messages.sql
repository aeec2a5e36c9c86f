-- Adds the messages that the conversation does not have yet, and returns their number. A client id that is a UUID
-- becomes the row's id unless another row has it.
create or replace function leadpipe.add_messages(p_conversation uuid, p_messages jsonb, p_received timestamptz) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_wanted integer := jsonb_array_length(p_messages);
  v_added integer := 0;
  v_count integer;
  v_first boolean := true;
begin
  loop
    insert into public.chat_messages as stored
      (id, conversation_id, client_id, sender, message_text, message_type, "timestamp", metadata, created_at)
    select
      case when kept then uuid else leadpipe.uuid_v7() end, p_conversation, client_id, sender, text, type, "timestamp",
      metadata || case when kept then '{}' else jsonb_build_object('clientId', client_id) end,
      -- Messages of one request often have the same time; the microseconds keep their order.
      now() + "position" * interval '1 microsecond'
    from (
      -- Of several messages with the same client id, the first.
      select distinct on (client_id) m.*, taken_by is null as kept, taken_by
      from leadpipe.message_fields(p_messages, p_received) as m,
           -- A sub-select, not a join: it always uses the index, whatever row counts the planner expects.
           lateral (select (select o.conversation_id from public.chat_messages o where o.id = m.uuid) offset 0) as other (taken_by)
      order by client_id, m."position"
    ) fresh
    where taken_by is distinct from p_conversation and (v_first or given)
    -- No conflict target: the id or the client id may be in use.
    on conflict do nothing;
    get diagnostics v_count = row_count;
    v_added := v_added + v_count;
    -- A skipped message is a repeat, or another conversation has taken its id since the statement began. A second pass
    -- stores messages of the latter kind under new ids. If it adds none, the loop ends.
    exit when v_count = 0 or v_added >= v_wanted;
    v_first := false;
  end loop;
  return v_added;
end
$$;
revoke all on function leadpipe.add_messages(uuid, jsonb, timestamptz) from public, anon, authenticated;
