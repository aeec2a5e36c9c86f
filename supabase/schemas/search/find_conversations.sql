-- The ids of a page of conversations, how many there are in all, and where the next page begins. What list, search and export have in
-- common: the conditions, the orders, and the ways to walk.
--
-- Where few match (the planner says how many), they are found by their words and sorted. Where many do, the order's index is walked
-- until the page is full. Both guesses can be wrong, so each way ends where it would get long, and the other is taken.
-- The words of a conversation stand with its time, score and amount: where they say all that was asked for, nothing else is read.
--
-- An order has one segment or two, the second for the rows that the first does not speak of (no follow-up, no amount).
create or replace function leadpipe.find_conversations(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp
set jit = off set max_parallel_workers_per_gather = 0 as $$
declare
  c_exact constant integer := 10000;
  c_few constant integer := 500;
  c_down constant text := 't.created_at desc, t.id desc';
  c_up constant text := 't.created_at, t.id';
  c_after_down constant text := '(t.created_at, t.id) < (($1).after_created, ($1).after_id)';
  c_after_up constant text := '(t.created_at, t.id) > (($1).after_created, ($1).after_id)';
  c_due constant text := 't.first_response_at is null and t.status not in (''completed'', ''lost'', ''converted'') '
    'and t.sla_response_deadline is not null';
  v_zone text := coalesce(p ->> 'timeZone', 'Asia/Dubai');
  v_sort text := coalesce(p ->> 'sort', 'recent');
  v_limit integer := coalesce((p ->> 'limit')::integer, 25);
  v_skip integer := 0;
  f leadpipe.conversation_search;
  -- By segment: which rows, in which order, which come after the cursor's, and what of a row goes into a cursor.
  v_rows text[];
  v_orders text[];
  v_afters text[];
  v_key text := 'null';
  v_segment integer := 1;
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
  v_ids uuid[] := '{}';
  v_cursor jsonb;
  v_more uuid[];
  v_more_cursor jsonb;
  v_way text;
  v_ways text[];
  v_edge timestamptz;
begin
  -- The search.
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
    raise exception using errcode = 'LP400', column = 'dateTo', message = 'must be after dateFrom';
  end if;
  f.now := now();
  f.today := date_trunc('day', f.now at time zone v_zone) at time zone v_zone;
  f.tomorrow := (date_trunc('day', f.now at time zone v_zone) + interval '1 day') at time zone v_zone;
  f.warn_hot := (p #>> '{warnBefore,hot}')::timestamptz;
  f.warn_warm := (p #>> '{warnBefore,warm}')::timestamptz;
  f.warn_cold := (p #>> '{warnBefore,cold}')::timestamptz;
  -- A query and an amount need the words of the latest leads, and the words there are, before anything is asked of them.
  if p ->> 'query' is not null or v_sort in ('highest-budget', 'lowest-budget') then
    v_behind := leadpipe.index_conversations();
  end if;
  if p ->> 'query' is not null then
    select wanted into f.wanted from leadpipe.parse_query(p ->> 'query');
    -- Nothing in it could stand anywhere.
    if f.wanted is null then
      return '{"ids": [], "total": 0, "totalIsEstimate": false}';
    end if;
  end if;
  v_conditions := leadpipe.search_conditions(f);

  -- The same, as far as words know it.
  f.terms := nullif(concat_ws('&', '(' || f.wanted::text || ')',
    leadpipe.any_exact_term('s=', f.statuses), leadpipe.any_exact_term('q=', f.qualities), leadpipe.any_exact_term('i=', f.intents),
    leadpipe.any_exact_term('a=', f.areas), leadpipe.any_exact_term('g=', f.agents::text[]), leadpipe.any_exact_term('o=', f.sources),
    leadpipe.any_exact_term('l=', array(
      select distinct answer from unnest(f.sla_states) as state,
        unnest(case state when 'met' then '{met}' when 'breached' then '{late,open}' when 'warning' then '{open}' else '{closed,open}' end::text[])
        as answer)),
    leadpipe.any_exact_term('t=', f.tags, '&')), '');
  v_answers_alone := f.follow_ups is null and f.sla_states is null and v_sort not in ('follow-up', 'sla');

  -- The order.
  v_rows := '{true}';
  case v_sort
    when 'recent' then
      v_orders := array[c_down]; v_afters := array[c_after_down];
    when 'oldest' then
      v_orders := array[c_up]; v_afters := array[c_after_up];
    when 'hot' then
      v_key := 't.lead_score'; v_orders := array['t.lead_score desc, ' || c_down];
      v_afters := array['(t.lead_score, t.created_at, t.id) < (($1).after_score, ($1).after_created, ($1).after_id)'];
    when 'warm' then
      v_key := 't.lead_score'; v_rows := '{t.lead_score < 80,t.lead_score >= 80}';
      v_orders := array_fill('t.lead_score desc, ' || c_down, '{2}');
      v_afters := array_fill('(t.lead_score, t.created_at, t.id) < (($1).after_score, ($1).after_created, ($1).after_id)'::text, '{2}');
    when 'cold' then
      v_key := 't.lead_score'; v_orders := array['t.lead_score, ' || c_up];
      v_afters := array['(t.lead_score, t.created_at, t.id) > (($1).after_score, ($1).after_created, ($1).after_id)'];
    when 'highest-budget' then
      v_key := 't.amount'; v_rows := '{t.amount is not null,t.amount is null}';
      v_orders := array['t.amount desc, ' || c_down, c_down];
      v_afters := array['(t.amount, t.created_at, t.id) < (($1).after_amount, ($1).after_created, ($1).after_id)', c_after_down];
    when 'lowest-budget' then
      v_key := 't.amount'; v_rows := '{t.amount is not null,t.amount is null}';
      v_orders := array['t.amount, ' || c_up, c_down];
      v_afters := array['(t.amount, t.created_at, t.id) > (($1).after_amount, ($1).after_created, ($1).after_id)', c_after_down];
    when 'follow-up' then
      v_key := 't.follow_up_date'; v_rows := '{t.follow_up_date is not null,t.follow_up_date is null}';
      v_orders := array['t.follow_up_date, ' || c_up, c_down];
      v_afters := array['(t.follow_up_date, t.created_at, t.id) > (($1).after_time, ($1).after_created, ($1).after_id)', c_after_down];
    when 'sla' then
      v_key := 't.sla_response_deadline'; v_rows := array[c_due, 'not (' || c_due || ')'];
      v_orders := array['t.sla_response_deadline, ' || c_up, c_down];
      v_afters := array['(t.sla_response_deadline, t.created_at, t.id) > (($1).after_time, ($1).after_created, ($1).after_id)', c_after_down];
  end case;

  -- Where to begin.
  if p ->> 'cursor' is not null then
    v_cursor := leadpipe.decode_cursor(p ->> 'cursor', v_sort, 5);
    begin
      v_segment := (v_cursor ->> 1)::integer;
      f.after_created := (v_cursor ->> 3)::timestamptz;
      f.after_id := (v_cursor ->> 4)::uuid;
      case when v_key = 't.lead_score' then f.after_score := (v_cursor ->> 2)::integer;
        when v_segment = 2 or v_key = 'null' then null;
        when v_key = 't.amount' then f.after_amount := (v_cursor ->> 2)::double precision;
        else f.after_time := (v_cursor ->> 2)::timestamptz; end case;
      if num_nulls(v_segment, f.after_created, f.after_id) > 0 or v_segment not between 1 and cardinality(v_rows)
        or (v_key <> 'null' and (v_segment = 1 or v_key = 't.lead_score')
            and num_nonnulls(f.after_score, f.after_amount, f.after_time) = 0) then
        raise exception using errcode = 'LP400';
      end if;
    exception when others then
      raise exception using errcode = 'LP400', message = 'is no cursor of this list', column = 'cursor';
    end;
  else
    v_skip := (coalesce((p ->> 'page')::integer, 1) - 1) * v_limit;
  end if;

  -- What is no query can be found without words, and only waits for a few.
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
  -- Rows that lie as they came are read quickly, those of other orders are all over the table.
  v_walk := case when v_sort not in ('recent', 'oldest') then 4000 when v_words_alone then 15000 else 6000 end;

  -- The ways: all that words give (set), their latest (latest), the order's index for a while (stroll), and as long as it takes (walk).
  v_ways := case
    when f.terms is null or v_behind > 0 then '{walk}'
    -- A few days are read as they are.
    when num_nonnulls(f.since, f.until) > 0 and leadpipe.estimate_rows(
      'select from public.conversations t where t.created_at >= coalesce(($1).since, ''-infinity'') '
      'and t.created_at < coalesce(($1).until, ''infinity'')', f) <= 2 * c_exact then '{walk}'
    -- What words know of it leaves too many, and the planner has indexes for the rest.
    when f.wanted is null and not v_answers_alone
      and leadpipe.estimate_rows('select from public.conversation_words t where t.words @@ ($1).terms', f) > c_exact / 2 then '{walk}'
    -- Few have a mail address or a number.
    when f.wanted::text ~ '''[epr]=' then '{set,stroll,walk}'
    -- The planner knows nothing of the beginnings of many words, and takes a few words that few have for many times more frequent than they are.
    when f.wanted::text ~ '''[^''=0-9][^''=][^'']*'':\*' then '{stroll,set,walk}'
    when f.wanted::text like '%|%' and v_expected < v_rows_known / 10 then '{latest,set,walk}'
    when v_expected * v_walk >= (v_skip + v_limit + 1) * v_rows_known then '{stroll,set,walk}'
    when v_expected > c_few then '{latest,set,walk}'
    else '{set,stroll,walk}' end;

  <<ways>>
  foreach v_way in array v_ways loop
    if v_way = 'latest' then
      -- Of rows that lie as they came, a twentieth at the order's beginning.
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
               where ' || v_known || case v_way when 'latest' then case v_sort when 'recent' then ' and t.created_at >= $6' else ' and t.created_at <= $6' end
               else '' end || ' limit $4), found as ('
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
      -- A segment that was only begun is not followed by the next.
      exit when v_way = 'stroll' or cardinality(v_ids) > v_skip + v_limit;
    end loop;
    exit when v_way = 'set' or cardinality(v_ids) > v_skip + v_limit;
  end loop;

  -- How many in all.
  if v_way = 'latest' then
    -- The planner takes several words for more frequent than they are; the latest may have more of them than the others.
    v_expected := greatest(v_total, case when f.wanted::text like '%|%' and num_nonnulls(f.since, f.until) = 0
      then least(v_expected, 20 * v_total) else v_expected end);
    v_total := null;
  elsif v_way = 'stroll' and f.wanted is not null and num_nonnulls(f.since, f.until) = 0 then
    -- So many of the rows that were walked, at least.
    v_expected := greatest(v_expected, v_rows_known * cardinality(v_ids) / v_walk);
  end if;
  if f.after_id is null and cardinality(v_ids) <= v_skip + v_limit then
    v_total := cardinality(v_ids);
  end if;
  if v_total is null and (v_rows_known <= 10 * c_exact or v_expected <= c_exact and v_way = 'walk') then
    execute 'select count(*) from (select from ' || v_source || ' t where ' || v_where || ' limit $2) counted'
    into v_total using f, c_exact + 1;
    if v_total > c_exact then
      v_total := null;
      v_expected := greatest(v_expected, c_exact + 1);
    end if;
  end if;

  return jsonb_strip_nulls(jsonb_build_object(
    'ids', to_jsonb(v_ids[v_skip + 1:v_skip + v_limit]),
    'total', coalesce(v_total, round(v_expected)::bigint),
    'totalIsEstimate', v_total is null,
    'nextCursor', case when cardinality(v_ids) > v_skip + v_limit then
      leadpipe.encode_cursor(v_cursor) end,
    -- What a query could not look into yet.
    'unindexed', case when f.wanted is not null or v_key = 't.amount' then nullif(v_behind, 0) end));
end
$$;
revoke all on function leadpipe.find_conversations(jsonb) from public;
