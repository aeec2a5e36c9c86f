-- The word index: data for searching and sorting conversations beyond their own columns, one row in conversation_words
-- for each conversation. Capture does not write it, because extracting the words costs several times as much as storing
-- a short lead. Triggers record which conversations have changed, and index_conversations updates the words during
-- housekeeping and before a read.
--
--   conversations, chat_messages ──trigger──▶ conversation_changes ──index_conversations──▶ conversation_words

-- No key and no order: rows are appended and soon removed. An id can occur more than once, and can remain after its
-- conversation was deleted.
create table if not exists public.conversation_changes (
  conversation_id uuid not null
);
select leadpipe.protect_table('public.conversation_changes');
comment on table public.conversation_changes is 'Conversations that have changed since their row in conversation_words was written.';

create table if not exists public.conversation_words (
  conversation_id uuid constraint conversation_words_pkey primary key
    constraint conversation_words_conversation_id_fkey references public.conversations (id) on delete cascade,
  created_at timestamptz not null,
  lead_score integer not null,
  amount double precision,
  words tsvector not null
);
-- Statistics on 4,000 words: the planner estimates all other words as rarer than these.
alter table public.conversation_words alter column words set statistics 400;
create index if not exists conversation_words_words_idx on public.conversation_words using gin (words);
create index if not exists conversation_words_created_at_idx on public.conversation_words (created_at, conversation_id);
create index if not exists conversation_words_amount_idx on public.conversation_words (amount, created_at, conversation_id)
  where amount is not null;
create index if not exists conversation_words_no_amount_idx on public.conversation_words (created_at, conversation_id)
  where amount is null;
select leadpipe.protect_table('public.conversation_words');
comment on table public.conversation_words is
  'The word index: words and exact terms of conversations and their messages. Rows of conversations in conversation_changes are out of date.';
comment on column public.conversation_words.amount is 'conversations.budget_amount.';
comment on column public.conversation_words.words is
  'Words of the name (weight A), email address (B), tags and notes (C) and messages (D). Exact terms: e= email addresses,
p= phone number, r= phone number reversed, s= status, q= quality, i= intent, a= area, g= agent, o= source, l= first response, t= tags.';

-- All indexed words. A search for the beginning of a word looks up the words that begin with it here, which costs a
-- tenth of a prefix search.
create table if not exists public.known_words (
  word text collate "C" constraint known_words_pkey primary key
);
select leadpipe.protect_table('public.known_words');
comment on table public.known_words is 'The words in conversation_words, except numbers. Words are never removed: one that no longer occurs matches nothing.';

-- Returns the words and exact terms of a conversation. Only the latest 50,000 characters of a conversation and the
-- first 20,000 of a message are indexed, because a tsvector holds at most 1 MB. If this is still too much, only the
-- exact terms are indexed.
create or replace function leadpipe.conversation_terms(c public.conversations, p_said text) returns tsvector
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_own text := left(array_to_string(c.tags, ' '), 20000) || ' ' || left(coalesce(c.notes, ''), 20000);
  v_phone text := nullif(left(leadpipe.phone_digits(c.customer_phone), 30), '');
  v_whole text[] := array['s=' || c.status, 'q=' || c.lead_quality, leadpipe.exact_term('i=', c.intent), leadpipe.exact_term('a=', c.preferred_area),
    'g=' || c.assigned_agent_id, leadpipe.exact_term('o=', c.source),
    -- The SLA state, as far as it does not change with time.
    'l=' || case
      when c.first_response_at > c.sla_response_deadline then 'late'
      when c.first_response_at is not null then 'met'
      when c.status not in ('completed', 'lost', 'converted') then 'open'
      when c.sla_breached then 'late' else 'closed' end,
    'p=' || v_phone, 'r=' || reverse(v_phone)];
begin
  if c.tags <> '{}' then
    v_whole := v_whole || array(select leadpipe.exact_term('t=', tag) from unnest(c.tags) as tag);
  end if;
  return setweight(leadpipe.text_words(left(c.customer_name, 1000)), 'A')
    || setweight(leadpipe.text_words(left(c.customer_email, 1000)), 'B')
    || case when v_own = ' ' then '' else setweight(leadpipe.text_words(v_own), 'C') || leadpipe.mail_terms(v_own, 'C') end
    || leadpipe.text_words(p_said)
    || coalesce((leadpipe.quote_lexeme('e=' || left(lower(c.customer_email), 300)) || ':1B')::tsvector, '')
    || coalesce(leadpipe.mail_terms(p_said, 'D'), '')
    || array_to_tsvector(array_remove(v_whole, null));
exception when program_limit_exceeded then
  return array_to_tsvector(array_remove(v_whole, null));
end
$$;
revoke all on function leadpipe.conversation_terms(public.conversations, text) from public, anon, authenticated;

-- Returns the number of rows that the planner estimates for a query on a search.
create or replace function leadpipe.estimate_rows(p_query text, f leadpipe.conversation_search) returns double precision
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_plan json;
begin
  execute 'explain (format json) ' || p_query into v_plan using f;
  return (v_plan #>> '{0,Plan,Plan Rows}')::double precision;
end
$$;
revoke all on function leadpipe.estimate_rows(text, leadpipe.conversation_search) from public, anon, authenticated;

-- Returns the ids of a page of conversations, their total number, and the cursor of the next page, for both list and
-- search. docs/explanation/query-plans.md shows the plans.
--
-- If the planner estimates that few rows match, they are found by the word index and sorted. If it estimates that many
-- match, the index of the sort order is read until the page is full. Either estimate can be wrong, so each strategy
-- stops before it takes long, and the next one is tried. conversation_words also has the time, score and amount of each
-- row: if a search needs nothing else, no other table is read.
create or replace function leadpipe.find_conversations(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp
set jit = off set max_parallel_workers_per_gather = 0 as $$
declare
  c_exact constant integer := 10000;
  v_sort text := coalesce(p ->> 'sort', 'recent');
  v_limit integer := coalesce((p ->> 'limit')::integer, 25);
  v_skip integer := 0;
  f leadpipe.conversation_search;
  -- See search_order.
  v_rows text[];
  v_orders text[];
  v_afters text[];
  v_key text;
  v_segment integer := 1;
  v_position record;
  v_source text;
  v_where text;
  v_words_alone boolean;
  v_conditions text;
  v_known text;
  v_answers_alone boolean;
  v_walk integer;
  v_behind bigint := 0;
  v_rows_known double precision := (select reltuples from pg_class where oid = 'public.conversation_words'::regclass);
  v_expected double precision;
  v_raw bigint;
  v_count bigint;
  v_total bigint;
  v_is_estimate boolean;
  v_is_full boolean;
  v_ids uuid[] := '{}';
  v_cursor jsonb;
  v_more uuid[];
  v_more_cursor jsonb;
  v_way text;
  v_ways text[];
  v_edge timestamptz;
begin
  f := leadpipe.read_search(p);
  -- A query, or a sort by amount, needs an up-to-date word index.
  if p ->> 'query' is not null or v_sort in ('highest-budget', 'lowest-budget') then
    v_behind := leadpipe.index_conversations();
  end if;
  if p ->> 'query' is not null then
    select wanted into f.wanted from leadpipe.parse_query(p ->> 'query', p -> 'numbers');
    -- The query contains nothing that can match.
    if f.wanted is null then
      return '{"ids": [], "total": 0, "totalIsEstimate": false}';
    end if;
  end if;
  v_conditions := leadpipe.search_conditions(f);
  f.terms := leadpipe.search_terms(f);
  v_answers_alone := f.follow_ups is null and f.sla_states is null and v_sort not in ('follow-up', 'sla');

  select key, rows, orders, afters into v_key, v_rows, v_orders, v_afters from leadpipe.search_order(v_sort);
  if p ->> 'cursor' is not null then
    select * into v_position from leadpipe.read_cursor(p ->> 'cursor', v_sort, v_key, cardinality(v_rows), f);
    f := v_position.search;
    v_segment := v_position.segment;
  else
    v_skip := (coalesce((p ->> 'page')::integer, 1) - 1) * v_limit;
  end if;

  -- A list without a query also works without the word index, so it waits for indexing only if few rows have changed.
  if f.wanted is null and v_key <> 't.amount' and f.terms is not null then
    v_behind := (select count(*) from (select from public.conversation_changes limit 101) waiting);
    if v_behind between 1 and 100 then
      v_behind := leadpipe.index_conversations(100);
    end if;
  end if;
  v_expected := case when f.wanted is null then 1 else
      leadpipe.estimate_rows('select from public.conversation_words t where t.words @@ ($1).wanted', f)
      / greatest(1, v_rows_known) end
    * leadpipe.estimate_rows('select from public.conversations t where ' || v_conditions, f);

  v_known := concat_ws(' and ', 't.words @@ ($1).terms',
    case when f.since is not null then 't.created_at >= ($1).since' end,
    case when f.until is not null then 't.created_at < ($1).until' end,
    case when f.least_score is not null then 't.lead_score between ($1).least_score and ($1).most_score' end);
  v_words_alone := f.wanted is not null and v_answers_alone and v_behind = 0 and (v_sort in ('recent', 'oldest') or v_key = 't.amount');
  v_source := case
    when v_words_alone then
      '(select conversation_id as id, created_at, lead_score, amount, words from public.conversation_words)'
    when f.wanted is null and v_key <> 't.amount' then 'public.conversations'
    else format('(select w.conversation_id as id, %s.created_at, w.amount, w.words, c.lead_score, c.status, c.lead_quality, c.intent,
      c.preferred_area, c.assigned_agent_id, c.tags, c.source, c.follow_up_date, c.first_response_at, c.sla_response_deadline,
      c.sla_breached
      from public.conversation_words w join public.conversations c on c.id = w.conversation_id)',
      case when v_sort in ('recent', 'oldest') or v_key = 't.amount' then 'w' else 'c' end) end;
  v_where := case when v_words_alone then v_known
    else v_conditions || case when f.wanted is not null then ' and t.words @@ ($1).wanted' else '' end end;
  -- Rows in order of time are stored together and read quickly. Rows in other orders are spread over the table.
  v_walk := case when v_sort not in ('recent', 'oldest') then 4000 when v_words_alone then 15000 else 6000 end;

  v_ways := leadpipe.search_ways(f, v_answers_alone, v_behind, v_expected, v_rows_known, v_skip + v_limit + 1, v_walk, c_exact);

  <<ways>>
  foreach v_way in array v_ways loop
    if v_way = 'latest' then
      -- The time that separates the first 5% of the rows in order of time.
      v_edge := (select (histogram_bounds::text::timestamptz[])[ceil(cardinality(histogram_bounds::text::timestamptz[])
          * case v_sort when 'recent' then 0.95 when 'oldest' then 0.05 end)]
        from pg_stats where schemaname = 'public' and tablename = 'conversation_words' and attname = 'created_at');
      continue ways when v_edge is null;
    end if;
    v_ids := '{}';
    v_cursor := null;
    v_total := null;
    for segment in v_segment..cardinality(v_rows) loop
      execute
        case
          when v_way in ('latest', 'set') then
            'with raw as materialized (select t.conversation_id as id, t.created_at, t.lead_score, t.amount from public.conversation_words t
               where ' || v_known
               || case when v_way = 'set' then '' when v_sort = 'recent' then ' and t.created_at >= $6' else ' and t.created_at <= $6' end
               || ' limit $4), found as ('
               || case when v_answers_alone then 'select * from raw' else
                 'select t.*, raw.amount from raw join public.conversations t on t.id = raw.id where ' || v_conditions end
               || ') select (select count(*) from raw), (select count(*) from found)'
          else 'select 0, null' end
        || ', array_agg(id), (array_agg(jsonb_build_array(key, created_at, id)))[$3] from ('
        || 'select t.id, t.created_at, ' || v_key || ' as key from '
        || case v_way when 'walk' then v_source when 'stroll' then '(select t.* from ' || v_source else 'found' end || ' t where '
        || v_rows[segment]
        || case when segment = v_segment and f.after_id is not null then ' and ' || v_afters[segment] else '' end
        || case v_way
             when 'stroll' then ' order by ' || v_orders[segment] || ' limit $5) t where ' || v_where
             when 'walk' then ' and ' || v_where else '' end
        || ' order by ' || v_orders[segment] || ' limit $2) page'
      into v_raw, v_count, v_more, v_more_cursor
      using f, v_skip + v_limit + 1 - cardinality(v_ids), v_skip + v_limit - cardinality(v_ids), c_exact + 1, v_walk, v_edge;
      continue ways when v_raw > c_exact;
      v_total := v_count;
      if v_more_cursor is not null then
        v_cursor := jsonb_build_array(v_sort, segment) || v_more_cursor;
      end if;
      v_ids := v_ids || coalesce(v_more, '{}');
      -- Do not continue with the next segment if this one was not read to its end.
      exit when v_way = 'stroll' or cardinality(v_ids) > v_skip + v_limit;
    end loop;
    exit when v_way = 'set' or cardinality(v_ids) > v_skip + v_limit;
  end loop;

  v_is_full := cardinality(v_ids) > v_skip + v_limit;
  select total, is_estimate into v_total, v_is_estimate from leadpipe.search_total(
    f, v_way, cardinality(v_ids), v_total, v_is_full, v_expected, v_rows_known, v_walk, c_exact, v_source || ' t where ' || v_where);

  return jsonb_strip_nulls(jsonb_build_object(
    'ids', to_jsonb(v_ids[v_skip + 1:v_skip + v_limit]),
    'total', v_total,
    'totalIsEstimate', v_is_estimate,
    'nextCursor', case when v_is_full then leadpipe.encode_cursor(v_cursor) end,
    -- The number of changed conversations that were not indexed yet.
    'unindexed', case when f.wanted is not null or v_key = 't.amount' then nullif(v_behind, 0) end));
end
$$;
revoke all on function leadpipe.find_conversations(jsonb) from public, anon, authenticated;

-- Normalises a string for comparison: case folded, so that WEISS equals Weiß and a final sigma equals any other;
-- without accents, marks, vowel signs, tatweel, ligatures and invisible characters; with one form of alef, ya, ha, kaf
-- and each digit; and with a space in place of each punctuation mark, so that none has a meaning to the text search
-- parser.
--
-- The functions on words are written in PL/pgSQL even where SQL would do, because an SQL function that cannot be
-- inlined costs twenty times as much.
create or replace function leadpipe.fold_text(p text) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  v_text text := p;
begin
  if octet_length(p) > length(p) then
    v_text := regexp_replace(lower(regexp_replace(normalize(p, nfkd), '[\u0300-\u036f]', '', 'g')),
      '[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]', '', 'g');
    v_text := translate(v_text,
      'ٱىیةەہکøłđðıς٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९‘’“”«»،؛؟٫٬…–—·•',
      'اييهههكolddiσ012345678901234567890123456789                ');
    v_text := replace(replace(replace(replace(v_text, 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th');
  end if;
  return translate(lower(v_text), E'!"#$%&''()*+,-./:;<=>?@[\\]^_`{|}~', '                                ');
end
$$;
revoke all on function leadpipe.fold_text(text) from public, anon, authenticated;

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
begin
  if not exists (select from public.conversation_changes) then
    return 0;
  end if;
  if not current_setting('transaction_read_only')::boolean and pg_try_advisory_xact_lock(hashtext('conversation_words')) then
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

-- Indexes the words of at most about `most` changed conversations (default and maximum 1,000), and returns how many are
-- `left`.
create or replace function public.index_words(p jsonb default '{}') returns jsonb
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('left', leadpipe.index_conversations(least(coalesce((p ->> 'most')::integer, 1000), 1000), 1000))
$$;
revoke all on function public.index_words(jsonb) from public, anon, authenticated;
grant execute on function public.index_words(jsonb) to leadpipe_worker, service_role;

-- GET /api/admin/conversations: a page of conversations that match the filters. With `include` of messages, each has
-- its newest messages, at most 200 and 100 kB, so that a page of 100 stays below the size limit of a reply.
create or replace function public.list_conversations(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_found jsonb;
begin
  p := leadpipe.authorize(p, 'read');
  v_found := leadpipe.find_conversations(p);
  return jsonb_build_object(
      'data', (select coalesce(jsonb_agg(leadpipe.conversation_document(c, p) || case when p -> 'include' ? 'messages'
                 then jsonb_build_object('messages', leadpipe.newest_messages(c.id, 200, 100000)) else '{}' end order by n), '[]')
               from jsonb_array_elements_text(v_found -> 'ids') with ordinality as found (id, n)
               join public.conversations c on c.id = found.id::uuid),
      'page', coalesce((p ->> 'page')::integer, 1), 'limit', coalesce((p ->> 'limit')::integer, 25), 'nextCursor', v_found -> 'nextCursor')
    || v_found - 'ids';
end
$$;
revoke all on function public.list_conversations(jsonb) from public, anon, authenticated;
grant execute on function public.list_conversations(jsonb) to leadpipe_admin, service_role;

-- Records new conversations in conversation_changes. This trigger function and those below run with the privileges of
-- the writing role, which may insert into that table.
create or replace function leadpipe.mark_new_conversations() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into public.conversation_changes select id from changed;
  return null;
end
$$;
revoke all on function leadpipe.mark_new_conversations() from public, anon, authenticated;

-- Records the conversations of messages that were added or deleted.
create or replace function leadpipe.mark_changed_messages() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into public.conversation_changes select distinct conversation_id from changed;
  return null;
end
$$;
revoke all on function leadpipe.mark_changed_messages() from public, anon, authenticated;

-- Records the conversation of a message that has changed.
create or replace function leadpipe.mark_changed_message() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into public.conversation_changes values (new.conversation_id);
  return null;
end
$$;
revoke all on function leadpipe.mark_changed_message() from public, anon, authenticated;

-- Records a conversation that has changed.
create or replace function leadpipe.mark_changed_conversation() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into public.conversation_changes values (new.id);
  return null;
end
$$;
revoke all on function leadpipe.mark_changed_conversation() from public, anon, authenticated;

create or replace trigger conversations_new_words after insert on public.conversations
  referencing new table as changed for each statement execute function leadpipe.mark_new_conversations();
create or replace trigger conversations_changed_words
  after update of customer_name, customer_phone, customer_email, tags, notes, status, lead_score, lead_quality, budget_amount, preferred_area, intent,
    assigned_agent_id, source, first_response_at, sla_response_deadline, sla_breached, created_at on public.conversations
  for each row when (
    (old.customer_name, old.customer_phone, old.customer_email, old.tags, old.notes, old.status, old.lead_score, old.lead_quality, old.budget_amount,
     old.preferred_area, old.intent, old.assigned_agent_id, old.source, old.first_response_at, old.sla_response_deadline, old.sla_breached,
     old.created_at)
    is distinct from
    (new.customer_name, new.customer_phone, new.customer_email, new.tags, new.notes, new.status, new.lead_score, new.lead_quality, new.budget_amount,
     new.preferred_area, new.intent, new.assigned_agent_id, new.source, new.first_response_at, new.sla_response_deadline, new.sla_breached,
     new.created_at))
  execute function leadpipe.mark_changed_conversation();
create or replace trigger chat_messages_new_words after insert on public.chat_messages
  referencing new table as changed for each statement execute function leadpipe.mark_changed_messages();
create or replace trigger chat_messages_changed_words after update of message_text on public.chat_messages
  for each row when (old.message_text is distinct from new.message_text) execute function leadpipe.mark_changed_message();
create or replace trigger chat_messages_gone_words after delete on public.chat_messages
  referencing old table as changed for each statement execute function leadpipe.mark_changed_messages();

-- Returns the fields of a conversation that match a part of the query.
create or replace function leadpipe.matched_fields(c public.conversations, p_words tsvector, p_asked record) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_tags text := array_to_string(c.tags, ' ');
begin
  return to_jsonb(array_remove(array[
    case when ts_filter(p_words, '{a}') @@ p_asked.words then 'name' end,
    case when p_words @@ p_asked.phones then 'phone' end,
    case when ts_filter(p_words, '{b}') @@ p_asked.words or ts_filter(p_words, '{b}') @@ p_asked.mails then 'email' end,
    case when leadpipe.text_words(v_tags) @@ p_asked.words or leadpipe.mail_terms(v_tags, 'C') @@ p_asked.mails then 'tags' end,
    case when leadpipe.text_words(c.notes) @@ p_asked.words or leadpipe.mail_terms(c.notes, 'C') @@ p_asked.mails then 'notes' end,
    case when ts_filter(p_words, '{d}') @@ p_asked.words or ts_filter(p_words, '{d}') @@ p_asked.mails then 'message' end], null));
end
$$;
revoke all on function leadpipe.matched_fields(public.conversations, tsvector, record) from public, anon, authenticated;

-- Parses a search string into queries on words: `wanted` for the whole string, and the parts that can match words,
-- email addresses and phone numbers. The string is converted to lexemes only, so operators in it have no meaning. A
-- word matches by its beginning. A phone number matches by its end in any notation or, if it has at least 8 digits, by
-- its beginning. `p_numbers` lists the whole numbers in the string, [{"text", "digits"}], as the code that reads them in
-- leads has read them; other runs of digits can be parts of numbers.
create or replace function leadpipe.parse_query(
  p text, p_numbers jsonb, out wanted tsquery, out words tsquery, out mails tsquery, out phones tsquery)
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  c_address constant text := '[^[:space:]<>"''(),;:@]+@[^[:space:]<>"''(),;:@]*[^[:space:]<>"''(),;:@.]';
  c_number constant text := '(?<![[:alnum:]])\+?\(?[0-9](?:[ ().\-/\u2010-\u2013]*[0-9]){3,}(?![[:alnum:]])';
  v_rest text := p;
  v_part text;
  v_digits text;  -- of a whole number
  v_number text;
  v_phone text;
  v_all text[];
  v_words text[];
  v_mails text[];
  v_phones text[];
begin
  for v_part in select n ->> 'text' from jsonb_array_elements(p_numbers) as n loop
    v_rest := replace(v_rest, v_part, ' ');
  end loop;
  v_rest := translate(
    regexp_replace(normalize(v_rest, nfkc), '[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]', '', 'g'),
    '٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९', '012345678901234567890123456789');
  for v_part in select distinct lower(m[1]) from regexp_matches(v_rest, '(' || c_address || ')', 'g') as m loop
    v_mails := v_mails || (leadpipe.quote_lexeme('e=' || left(v_part, 300)) || ':*');
  end loop;
  v_all := v_mails;
  v_rest := regexp_replace(v_rest, c_address, ' ', 'g');

  for v_part, v_digits in
    select n ->> 'text', n ->> 'digits' from jsonb_array_elements(p_numbers) as n
    union select m[1], null from regexp_matches(v_rest, '(' || c_number || ')', 'g') as m
  loop
    v_number := left(leadpipe.phone_digits(v_part), 30);
    v_phone := leadpipe.quote_lexeme('r=' || reverse(case when v_part ~ '^\(?0[^0]' then substr(v_number, 4) else v_number end)) || ':*';
    if length(v_number) >= 8 then
      v_phone := v_phone || '|' || leadpipe.quote_lexeme('p=' || v_number) || ':*';
    end if;
    if v_digits is not null then
      v_phone := v_phone || '|' || leadpipe.quote_lexeme('r=' || reverse(v_digits)) || ':*|' || leadpipe.quote_lexeme('p=' || v_digits) || ':*';
    end if;
    v_phones := v_phones || v_phone;
    v_words := v_words || leadpipe.word_query(v_part, '&');
    v_all := v_all || concat_ws('|', v_phone, leadpipe.word_query(v_part, '&'));
  end loop;
  v_rest := regexp_replace(v_rest, c_number, ' ', 'g');

  wanted := '(' || nullif(array_to_string(v_all || leadpipe.word_query(v_rest, '&'), ')&('), '') || ')';
  words := nullif(array_to_string(v_words || leadpipe.word_query(v_rest, '|'), '|'), '');
  mails := array_to_string(v_mails, '|');
  phones := array_to_string(v_phones, '|');
end
$$;
revoke all on function leadpipe.parse_query(text, jsonb) from public, anon, authenticated;

-- Returns the digits of a phone number in E.164: without 00, and with country code 971 in place of a trunk 0.
create or replace function leadpipe.phone_digits(p text) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  v_digits text := regexp_replace(leadpipe.fold_text(p), '[^0-9]', '', 'g');
begin
  return case
    when v_digits like '00%' then regexp_replace(substr(v_digits, 3), '^9710', '971')
    when p ~ '^\s*[+＋]' or v_digits like '971%' then regexp_replace(v_digits, '^9710', '971')
    when v_digits like '0%' then '971' || substr(v_digits, 2)
    else v_digits end;
end
$$;
revoke all on function leadpipe.phone_digits(text) from public, anon, authenticated;

-- Returns the position of a cursor in a list of `p_segments` segments: its segment and, in `search`, the last row of
-- the previous page. Raises LP400 if the cursor does not belong to this list and sort order.
create or replace function leadpipe.read_cursor(
  p_cursor text, p_sort text, p_key text, p_segments integer, inout search leadpipe.conversation_search, out segment integer)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_parts jsonb := leadpipe.decode_cursor(p_cursor, p_sort, 5);
begin
  segment := (v_parts ->> 1)::integer;
  search.after_created := (v_parts ->> 3)::timestamptz;
  search.after_id := (v_parts ->> 4)::uuid;
  case when p_key = 't.lead_score' then search.after_score := (v_parts ->> 2)::integer;
    when segment = 2 or p_key = 'null' then null;
    when p_key = 't.amount' then search.after_amount := (v_parts ->> 2)::double precision;
    else search.after_time := (v_parts ->> 2)::timestamptz; end case;
  if num_nulls(segment, search.after_created, search.after_id) > 0 or segment not between 1 and p_segments
    or (p_key <> 'null' and (segment = 1 or p_key = 't.lead_score')
        and num_nonnulls(search.after_score, search.after_amount, search.after_time) = 0) then
    raise exception using errcode = 'LP400';
  end if;
exception when others then
  raise exception using errcode = 'LP400', message = 'invalid_cursor', detail = '{"field": "cursor"}';
end
$$;
revoke all on function leadpipe.read_cursor(text, text, text, integer, leadpipe.conversation_search) from public, anon, authenticated;

-- Returns the filters and the current time of a search, from its request. Raises LP400 if dateTo is not after dateFrom.
create or replace function leadpipe.read_search(p jsonb) returns leadpipe.conversation_search
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_zone text := coalesce(p ->> 'timeZone', 'Asia/Dubai');
  f leadpipe.conversation_search;
begin
  f.statuses := leadpipe.text_array(p -> 'status');
  f.qualities := leadpipe.text_array(p -> 'leadQuality');
  f.intents := leadpipe.text_array(p -> 'intent');
  f.areas := leadpipe.text_array(p -> 'areas');
  f.agents := leadpipe.text_array(p -> 'assignedAgentIds')::uuid[];
  f.tags := leadpipe.text_array(p -> 'tags');
  f.sources := leadpipe.text_array(p -> 'source');
  f.follow_ups := leadpipe.text_array(p -> 'followUpStatus');
  f.sla_states := leadpipe.text_array(p -> 'slaState');
  f.least_score := (p #>> '{scoreRange,min}')::integer;
  f.most_score := (p #>> '{scoreRange,max}')::integer;
  f.since := leadpipe.parse_moment(p ->> 'dateFrom', v_zone, false);
  f.until := leadpipe.parse_moment(p ->> 'dateTo', v_zone, true);
  if f.since >= f.until then
    raise exception using errcode = 'LP400', message = 'not_after', detail = '{"field": "dateTo", "other": "dateFrom"}';
  end if;
  f.now := now();
  f.today := date_trunc('day', f.now at time zone v_zone) at time zone v_zone;
  f.tomorrow := (date_trunc('day', f.now at time zone v_zone) + interval '1 day') at time zone v_zone;
  f.warn_hot := (p #>> '{warnBefore,hot}')::timestamptz;
  f.warn_warm := (p #>> '{warnBefore,warm}')::timestamptz;
  f.warn_cold := (p #>> '{warnBefore,cold}')::timestamptz;
  return f;
end
$$;
revoke all on function leadpipe.read_search(jsonb) from public, anon, authenticated;

-- Returns the conditions of a search on a row `t` of conversations, as SQL; $1 is the search. The SQL is made of
-- constant strings only.
create or replace function leadpipe.search_conditions(f leadpipe.conversation_search) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  c_warn constant text :=
    'case t.lead_quality when ''hot'' then ($1).warn_hot when ''warm'' then ($1).warn_warm else ($1).warn_cold end';
begin
  return concat_ws(' and ', 'true',
    case when f.statuses is not null then 't.status = any (($1).statuses)' end,
    case when f.qualities is not null then 't.lead_quality = any (($1).qualities)' end,
    case when f.intents is not null then 't.intent = any (($1).intents)' end,
    case when f.areas is not null then 't.preferred_area = any (($1).areas)' end,
    case when f.agents is not null then 't.assigned_agent_id = any (($1).agents)' end,
    case when f.tags is not null then 't.tags @> ($1).tags' end,
    case when f.sources is not null then 't.source = any (($1).sources)' end,
    case when f.least_score is not null then 't.lead_score between ($1).least_score and ($1).most_score' end,
    case when f.since is not null then 't.created_at >= ($1).since' end,
    case when f.until is not null then 't.created_at < ($1).until' end,
    (select '(' || string_agg(case state
       when 'due-today' then 't.follow_up_date >= ($1).today and t.follow_up_date < ($1).tomorrow'
       when 'overdue' then 't.follow_up_date < ($1).now'
       when 'scheduled' then 't.follow_up_date >= ($1).now' end, ' or ') || ')' from unnest(f.follow_ups) as state),
    -- Same rule as in sla_state.
    (select '(' || string_agg(case state
       when 'met' then 't.first_response_at is not null and (t.first_response_at > t.sla_response_deadline) is not true'
       when 'breached' then 't.first_response_at > t.sla_response_deadline or t.first_response_at is null and '
         'case when t.status in (''completed'', ''lost'', ''converted'') then t.sla_breached else t.sla_response_deadline <= ($1).now end'
       when 'warning' then 't.first_response_at is null and t.status not in (''completed'', ''lost'', ''converted'') '
         'and t.sla_response_deadline > ($1).now and t.sla_response_deadline <= ' || c_warn
         -- Lets the planner use the partial index on open deadlines.
         || ' and t.sla_response_deadline <= greatest(($1).warn_hot, ($1).warn_warm, ($1).warn_cold)'
       when 'ok' then 't.first_response_at is null and case when t.status in (''completed'', ''lost'', ''converted'') then not t.sla_breached '
         'else (t.sla_response_deadline <= ($1).now) is not true and (t.sla_response_deadline <= ' || c_warn || ') is not true end'
       end, ' or ') || ')' from unnest(f.sla_states) as state));
end
$$;
revoke all on function leadpipe.search_conditions(leadpipe.conversation_search) from public, anon, authenticated;

-- GET /api/admin/search: a page of conversations that match a query, newest first, with the fields that matched.
create or replace function public.search_conversations(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_asked record;
  v_found jsonb;
begin
  p := leadpipe.authorize(p, 'read');
  v_found := leadpipe.find_conversations(p);
  select * into v_asked from leadpipe.parse_query(p ->> 'query', p -> 'numbers');
  return jsonb_build_object(
      'data', (select coalesce(jsonb_agg(
                 leadpipe.conversation_document(c, p) || jsonb_build_object('matchedIn', leadpipe.matched_fields(c, w.words, v_asked)) order by n), '[]')
               from jsonb_array_elements_text(v_found -> 'ids') with ordinality as found (id, n)
               join public.conversations c on c.id = found.id::uuid join public.conversation_words w on w.conversation_id = c.id),
      'query', p -> 'query', 'limit', coalesce((p ->> 'limit')::integer, 25), 'nextCursor', v_found -> 'nextCursor')
    || v_found - 'ids';
end
$$;
revoke all on function public.search_conversations(jsonb) from public, anon, authenticated;
grant execute on function public.search_conversations(jsonb) to leadpipe_admin, service_role;

-- Returns the sort order of a list. It has one or two segments; the second has the rows that come last, such as those
-- without a value to sort by (no follow-up, no amount). For each segment: the rows that belong to it, their order, and
-- the rows that follow a cursor. `key` is the value that a cursor needs in addition to time and id. All are SQL on a
-- row `t`, with the search as $1.
create or replace function leadpipe.search_order(p_sort text, out key text, out rows text[], out orders text[], out afters text[])
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  c_down constant text := 't.created_at desc, t.id desc';
  c_up constant text := 't.created_at, t.id';
  c_after_down constant text := '(t.created_at, t.id) < (($1).after_created, ($1).after_id)';
  c_after_up constant text := '(t.created_at, t.id) > (($1).after_created, ($1).after_id)';
  c_due constant text := 't.first_response_at is null and t.status not in (''completed'', ''lost'', ''converted'') '
    'and t.sla_response_deadline is not null';
begin
  key := 'null';
  rows := '{true}';
  case p_sort
    when 'recent' then
      orders := array[c_down]; afters := array[c_after_down];
    when 'oldest' then
      orders := array[c_up]; afters := array[c_after_up];
    when 'hot' then
      key := 't.lead_score'; orders := array['t.lead_score desc, ' || c_down];
      afters := array['(t.lead_score, t.created_at, t.id) < (($1).after_score, ($1).after_created, ($1).after_id)'];
    when 'warm' then
      key := 't.lead_score'; rows := '{t.lead_score < 80,t.lead_score >= 80}';
      orders := array_fill('t.lead_score desc, ' || c_down, '{2}');
      afters := array_fill('(t.lead_score, t.created_at, t.id) < (($1).after_score, ($1).after_created, ($1).after_id)'::text, '{2}');
    when 'cold' then
      key := 't.lead_score'; orders := array['t.lead_score, ' || c_up];
      afters := array['(t.lead_score, t.created_at, t.id) > (($1).after_score, ($1).after_created, ($1).after_id)'];
    when 'highest-budget' then
      key := 't.amount'; rows := '{t.amount is not null,t.amount is null}';
      orders := array['t.amount desc, ' || c_down, c_down];
      afters := array['(t.amount, t.created_at, t.id) < (($1).after_amount, ($1).after_created, ($1).after_id)', c_after_down];
    when 'lowest-budget' then
      key := 't.amount'; rows := '{t.amount is not null,t.amount is null}';
      orders := array['t.amount, ' || c_up, c_down];
      afters := array['(t.amount, t.created_at, t.id) > (($1).after_amount, ($1).after_created, ($1).after_id)', c_after_down];
    when 'follow-up' then
      key := 't.follow_up_date'; rows := '{t.follow_up_date is not null,t.follow_up_date is null}';
      orders := array['t.follow_up_date, ' || c_up, c_down];
      afters := array['(t.follow_up_date, t.created_at, t.id) > (($1).after_time, ($1).after_created, ($1).after_id)', c_after_down];
    when 'sla' then
      key := 't.sla_response_deadline'; rows := array[c_due, 'not (' || c_due || ')'];
      orders := array['t.sla_response_deadline, ' || c_up, c_down];
      afters := array['(t.sla_response_deadline, t.created_at, t.id) > (($1).after_time, ($1).after_created, ($1).after_id)', c_after_down];
  end case;
end
$$;
revoke all on function leadpipe.search_order(text) from public, anon, authenticated;

-- Returns the part of a search that the word index can answer: its words and exact terms, combined. Null if there are
-- none. Of the SLA state, the index contains only what does not change with time.
create or replace function leadpipe.search_terms(f leadpipe.conversation_search) returns tsquery
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return nullif(concat_ws('&', '(' || f.wanted::text || ')',
    leadpipe.any_exact_term('s=', f.statuses), leadpipe.any_exact_term('q=', f.qualities), leadpipe.any_exact_term('i=', f.intents),
    leadpipe.any_exact_term('a=', f.areas), leadpipe.any_exact_term('g=', f.agents::text[]), leadpipe.any_exact_term('o=', f.sources),
    leadpipe.any_exact_term('l=', array(
      select distinct answer from unnest(f.sla_states) as state,
        unnest(case state when 'met' then '{met}' when 'breached' then '{late,open}' when 'warning' then '{open}' else '{closed,open}' end::text[])
        as answer)),
    leadpipe.any_exact_term('t=', f.tags, '&')), '');
end
$$;
revoke all on function leadpipe.search_terms(leadpipe.conversation_search) from public, anon, authenticated;

-- Returns how many conversations match: an exact count up to p_exact if that is quick, otherwise an estimate near
-- p_expected. find_conversations finished with strategy p_way and found p_found rows, up to one more than the page. If
-- it read all matching rows, p_total is their count.
create or replace function leadpipe.search_total(
  f leadpipe.conversation_search, p_way text, p_found integer, p_total bigint, p_is_page_full boolean, p_expected double precision,
  p_rows double precision, p_walk integer, p_exact integer, p_from text, out total bigint, out is_estimate boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  total := p_total;
  if p_way = 'latest' then
    -- The planner overestimates how often several words occur together. The latest rows may contain more matches than
    -- others.
    p_expected := greatest(p_total, case when f.wanted::text like '%|%' and num_nonnulls(f.since, f.until) = 0
      then least(p_expected, 20 * p_total) else p_expected end);
    total := null;
  elsif p_way = 'stroll' and f.wanted is not null and num_nonnulls(f.since, f.until) = 0 then
    -- At least the proportion that was found among the rows that were read.
    p_expected := greatest(p_expected, p_rows * p_found / p_walk);
  end if;
  if f.after_id is null and not p_is_page_full then
    total := p_found;
  end if;
  if total is null and (p_rows <= 10 * p_exact or p_expected <= p_exact and p_way = 'walk') then
    execute 'select count(*) from (select from ' || p_from || ' limit $2) counted' into total using f, p_exact + 1;
    if total > p_exact then
      total := null;
      p_expected := greatest(p_expected, p_exact + 1);
    end if;
  end if;
  is_estimate := total is null;
  total := coalesce(total, round(p_expected)::bigint);
end
$$;
revoke all on function leadpipe.search_total(
  leadpipe.conversation_search, text, integer, bigint, boolean, double precision, double precision, integer, integer, text)
  from public, anon, authenticated;

-- Returns the strategies by which find_conversations looks for a page, in order: all rows found by the word index
-- (set), only the latest of these (latest), p_walk rows of the index of the sort order (stroll), and that index to its
-- end (walk). The planner estimates that `p_expected` of the existing `p_rows` rows match; `p_wanted` of them are
-- requested.
create or replace function leadpipe.search_ways(
  f leadpipe.conversation_search, p_answers_alone boolean, p_behind bigint, p_expected double precision, p_rows double precision, p_wanted integer,
  p_walk integer, p_exact integer)
returns text[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return case
    when f.terms is null or p_behind > 0 then '{walk}'
    -- The rows of a few days are read directly.
    when num_nonnulls(f.since, f.until) > 0 and leadpipe.estimate_rows(
      'select from public.conversations t where t.created_at >= coalesce(($1).since, ''-infinity'') '
      'and t.created_at < coalesce(($1).until, ''infinity'')', f) <= 2 * p_exact then '{walk}'
    -- The word index would find too many rows, and the planner has indexes for the other conditions.
    when f.wanted is null and not p_answers_alone
      and leadpipe.estimate_rows('select from public.conversation_words t where t.words @@ ($1).terms', f) > p_exact / 2 then '{walk}'
    -- Few conversations have the same email address or phone number.
    when f.wanted::text ~ '''[epr]=' then '{set,stroll,walk}'
    -- The planner cannot estimate prefixes of words, and overestimates rare words by far.
    when f.wanted::text ~ '''[^''=0-9][^''=][^'']*'':\*' then '{stroll,set,walk}'
    when f.wanted::text like '%|%' and p_expected < p_rows / 10 then '{latest,set,walk}'
    when p_expected * p_walk >= p_wanted * p_rows then '{stroll,set,walk}'
    when p_expected > 500 then '{latest,set,walk}'
    else '{set,stroll,walk}' end;
end
$$;
revoke all on function leadpipe.search_ways(
  leadpipe.conversation_search, boolean, bigint, double precision, double precision, integer, integer, integer) from public, anon, authenticated;

-- Returns the words of a string, up to its first 200,000 characters.
create or replace function leadpipe.text_words(p text) returns tsvector
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  return to_tsvector('pg_catalog.simple', coalesce(left(leadpipe.fold_text(p), 200000), ''));
end
$$;
revoke all on function leadpipe.text_words(text) from public, anon, authenticated;

-- Returns a term that is compared as a whole, such as a status, an area or a tag. Terms contain `=`, which words do
-- not.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.exact_term(p_kind text, p_value text) returns text
language sql immutable parallel safe as
  $$ select p_kind || case when length(p_value) > 100 then md5(p_value) else p_value end $$;
revoke all on function leadpipe.exact_term(text, text) from public, anon, authenticated;

-- Quotes a string for tsvector and tsquery.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.quote_lexeme(p text) returns text
language sql immutable parallel safe as
  $$ select '''' || replace(replace(p, '\', '\\'), '''', '''''') || '''' $$;
revoke all on function leadpipe.quote_lexeme(text) from public, anon, authenticated;

-- Returns the email addresses in a string, at most 200, as exact terms with a weight.
create or replace function leadpipe.mail_terms(p text, p_weight text) returns tsvector
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  if p not like '%@%' then
    return '';
  end if;
  return coalesce((
    select string_agg(leadpipe.quote_lexeme('e=' || left(m[1], 300)) || ':1' || p_weight, ' ')
    from (select m from regexp_matches(lower(p), '[^[:space:]<>"''(),;:@]+@[^[:space:]<>"''(),;:@]*[^[:space:]<>"''(),;:@.]', 'g') as m
          limit 200) first), '')::tsvector;
end
$$;
revoke all on function leadpipe.mail_terms(text, text) from public, anon, authenticated;

-- Returns a query for any of the values, or for all of them if `p_operator` is `&`. Null if there are none.
create or replace function leadpipe.any_exact_term(p_kind text, p_values text[], p_operator text default '|') returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  return (select '(' || string_agg(leadpipe.quote_lexeme(leadpipe.exact_term(p_kind, value)), p_operator) || ')' from unnest(p_values) as value);
end
$$;
revoke all on function leadpipe.any_exact_term(text, text[], text) from public, anon, authenticated;

-- Returns a query for all words of a string, or for any if `p_operator` is `|`. Null if it has no words. A single
-- character and a number of up to 3 digits match whole words only, because too many words begin with them.
create or replace function leadpipe.word_query(p text, p_operator text) returns text
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  c_most constant integer := 200;
  v_word text;
  v_known text[];
  v_terms text[];
begin
  for v_word in select lexeme from unnest(leadpipe.text_words(p)) loop
    if v_word ~ '^(.|[0-9]{2,3})$' then
      v_terms := v_terms || leadpipe.quote_lexeme(v_word);
    else
      v_known := case when v_word !~ '^[0-9]+$' and p_operator = '&' then
        array(select leadpipe.quote_lexeme(word) from public.known_words where word like replace(v_word, '_', '\_') || '%' limit c_most + 1) end;
      v_terms := v_terms || case
        when v_known = '{}' then leadpipe.quote_lexeme(v_word)
        when cardinality(v_known) <= c_most then '(' || array_to_string(v_known, '|') || ')'
        else leadpipe.quote_lexeme(v_word) || ':*' end;
    end if;
  end loop;
  return array_to_string(v_terms, p_operator);
end
$$;
revoke all on function leadpipe.word_query(text, text) from public, anon, authenticated;

-- Existing conversations are indexed by housekeeping and by the next search.
insert into public.conversation_changes
select c.id from public.conversations c
where not exists (select from public.conversation_words w where w.conversation_id = c.id)
order by c.created_at desc;
