-- Generated from schemas/ by `make migration`. This file can run again at any time.

-- One row, added by index_conversations and locked while it runs. An advisory lock could also be held by a login that has no
-- rights on tables.
create table if not exists leadpipe.index_lock (
  only_row boolean constraint index_lock_pkey primary key default true constraint index_lock_only_row check (only_row)
);

revoke all on table leadpipe.index_lock from public, anon, authenticated, service_role;

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
        returning w.words
      )
      insert into public.known_words select distinct lexeme from made, unnest(words) where lexeme !~ '=|^[0-9]+$' on conflict do nothing;
      exit when v_count < c_slice or v_done >= p_most or clock_timestamp() > v_end;
    end loop;
  end if;
  return (select count(*) from (select from public.conversation_changes limit 100000) waiting);
end
$$;

revoke all on function leadpipe.index_conversations(integer, integer) from public, anon, authenticated;
