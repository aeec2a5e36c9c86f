-- Indexes the words of changed conversations, at most about `p_most` of them and for at most about `p_milliseconds`.
-- Returns how many are left, counted up to 100,000. Only one call at a time indexes; a concurrent call skips indexing.
create or replace function leadpipe.index_conversations(p_most integer default 2000, p_milliseconds integer default 300) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c_slice constant integer := 10;
  v_end timestamptz := clock_timestamp() + p_milliseconds * interval '1 millisecond';
  v_changed uuid[];
  v_count integer;
  v_done integer := 0;
  v_is_turn boolean := false;
  v_dropped text[];
begin
  if not exists (select from public.conversation_changes) then
    return 0;
  end if;
  if not current_setting('transaction_read_only')::boolean then
    insert into leadpipe.index_lock default values on conflict do nothing;
    perform from leadpipe.index_lock for update skip locked;
    v_is_turn := found;
  end if;
  if v_is_turn then
    loop
      with taken as (
        delete from public.conversation_changes
        where ctid = any (array(select ctid from public.conversation_changes limit c_slice))
        returning conversation_id
      )
      select array_agg(distinct conversation_id), count(*) into v_changed, v_count from taken;
      v_done := v_done + v_count;

      -- The lock keeps the conversations from being deleted before their words are stored.
      -- Words that a conversation does not contain any more are removed from the known words if no other has them, so that
      -- nothing of a text stays that was changed before its person was erased.
      with changed as materialized (
        select c from public.conversations c where c.id = any (v_changed) order by c.id for key share
      ), made as (
        insert into public.conversation_words as w (conversation_id, created_at, lead_score, amount, words)
        select (c).id, coalesce((c).created_at, now()), coalesce((c).lead_score, 0), (c).budget_amount,
          leadpipe.conversation_terms(c, said.text)
        from changed, lateral (
          select left(string_agg(left(m.message_text, 20000), ' ' order by m."timestamp" desc, m.created_at desc), 50000)
          from public.chat_messages m where m.conversation_id = (c).id) as said (text)
        on conflict (conversation_id) do update set
          created_at = excluded.created_at, lead_score = excluded.lead_score, amount = excluded.amount, words = excluded.words
        returning w.conversation_id, w.words
      ), known as (
        insert into public.known_words select distinct lexeme from made, unnest(words) where lexeme !~ '=|^[0-9]+$' on conflict do nothing
      )
      -- The rows as they were before this statement.
      select array_agg(distinct lexeme) into v_dropped
      from public.conversation_words w join made on made.conversation_id = w.conversation_id,
           unnest(ts_delete(w.words, tsvector_to_array(made.words)))
      where w.conversation_id = any (v_changed) and lexeme !~ '=|^[0-9]+$';
      if v_dropped is not null then
        perform leadpipe.forget_words(v_dropped);
      end if;
      exit when v_count < c_slice or v_done >= p_most or clock_timestamp() > v_end;
    end loop;
  end if;
  return (select count(*) from (select from public.conversation_changes limit 100000) waiting);
end
$$;
revoke all on function leadpipe.index_conversations(integer, integer) from public, anon, authenticated;
