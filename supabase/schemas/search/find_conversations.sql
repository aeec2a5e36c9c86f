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
    -- A list has all rows. While the word index lacks some, or has old amounts, the table itself is sorted.
    when f.wanted is null and v_behind > 0 then '(select c.*, c.budget_amount as amount from public.conversations c)'
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
    'unindexed', case when f.wanted is not null then nullif(v_behind, 0) end));
end
$$;
revoke all on function leadpipe.find_conversations(jsonb) from public, anon, authenticated;
