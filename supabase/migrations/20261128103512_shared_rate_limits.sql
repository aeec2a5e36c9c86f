-- Generated from schemas/ by `make migration`. This file can run again at any time.

-- One row for each client of a limit. Only the bucket and the key are indexed, so that an update changes no index.
create unlogged table if not exists leadpipe.rate_counts (
  rate text not null constraint rate_counts_rate_check check (rate in (
    'accepted', 'lead', 'lead/48', 'contact', 'contact/48', 'admin', 'admin/48', 'export', 'export/48', 'default',
    'default/48', 'refused-keys', 'refused-keys/48', 'turns')),
  key text not null constraint rate_counts_key_check check (octet_length(key) <= 80),
  bucket smallint not null,
  times bigint[] not null default '{}',
  counts integer[] not null default '{}',
  half bigint,
  ends bigint not null default 0,
  constraint rate_counts_pkey primary key (rate, key)
) with (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.1);

create index if not exists rate_counts_bucket_idx on leadpipe.rate_counts (rate, bucket);

revoke all on table leadpipe.rate_counts from public, anon, authenticated, service_role;

comment on table leadpipe.rate_counts is 'Requests that clients were admitted for. Empty after a crash.';

comment on column leadpipe.rate_counts.rate is 'The limit: a rate class, its limit for the /48 of IPv6 addresses, the refused keys, or the accepted keys.';

comment on column leadpipe.rate_counts.key is 'An address or network, or the hash of a key. The row `shared N` counts all new clients of the full bucket N.';

comment on column leadpipe.rate_counts.bucket is 'One of 1,024 buckets of 64 clients.';

comment on column leadpipe.rate_counts.times is 'When requests were admitted, in Unix milliseconds, ascending. At most about 130.';

comment on column leadpipe.rate_counts.counts is 'How many requests were admitted at each of the times.';

comment on column leadpipe.rate_counts.half is 'The time of an admission of which half was given back.';

comment on column leadpipe.rate_counts.ends is 'When nothing in the row counts any more, in Unix milliseconds.';

-- Counts a request if all of its limits admit it. A limit is {rate, key, count, seconds}. Returns {allowed, count,
-- seconds, remaining, resetsIn, held} of the tightest limit: resetsIn in milliseconds, held for
-- `leadpipe.give_back_rates`. A refusal counts nothing.
--
-- Above 128 requests in a window, times are rounded up to a 128th of it, so that a row has at most about 130 times. An
-- admission then counts a little longer, never shorter, than the window.
create or replace function leadpipe.admit_rates(p_limits jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_limit jsonb;
  v_row leadpipe.rate_counts;
  v_rows leadpipe.rate_counts[] := '{}';
  v_judged record;
  v_now bigint;
  v_at bigint;
  v_count bigint;
  v_window bigint;
  v_step bigint;
  v_newest bigint;
  v_used bigint;
  v_left bigint;
  v_frees_at bigint;
  v_held jsonb := '[]';
  v_tightest jsonb;
begin
  -- Without locks first, so that refusals of one client do not queue. At the second look the rows are locked, and nothing
  -- between the two looks can be missed.
  for v_look in 1..2 loop
    if v_look = 2 then
      for v_limit in select value from jsonb_array_elements(p_limits) loop
        v_rows := v_rows || leadpipe.hold_rate(v_limit ->> 'rate', v_limit ->> 'key');
      end loop;
    end if;
    v_now := floor(extract(epoch from clock_timestamp()) * 1000);
    for i in 0..jsonb_array_length(p_limits) - 1 loop
      v_limit := p_limits -> i;
      v_count := v_limit -> 'count';
      v_window := least((v_limit -> 'seconds')::bigint, 3600) * 1000;
      v_step := case when v_count <= 128 then 1 else (v_window + 127) / 128 end;
      v_at := (v_now + v_step - 1) / v_step * v_step;
      if v_look = 1 then
        select * into v_row from leadpipe.rate_counts where rate = v_limit ->> 'rate' and key = v_limit ->> 'key';
        v_newest := v_row.times[cardinality(v_row.times)];
        -- No row, nothing that counts, or a clock that was set back, which only the second look stores.
        continue when v_newest is null or v_newest <= v_now - v_window or v_newest > v_at;
      else
        v_row := v_rows[i + 1];
        v_newest := v_row.times[cardinality(v_row.times)];
      end if;
      if v_newest is null or v_newest <= v_now - v_window then
        v_used := 0;
        v_row.times := '{}';
        v_row.counts := '{}';
      elsif cardinality(v_row.times) < v_count and v_newest <= v_at and v_row.times[1] > v_now - v_window and v_step = 1
        and cardinality(v_row.times) = (select sum(n) from unnest(v_row.counts) n) then
        v_used := cardinality(v_row.times);
      else
        v_judged := leadpipe.judge_rate(v_row, v_count, v_window, v_now, v_at);
        v_used := v_judged.used;
        v_frees_at := v_judged.frees_at;
        v_row.times := coalesce(v_judged.times, '{}');
        v_row.counts := coalesce(v_judged.counts, '{}');
      end if;
      if v_used >= v_count then
        if v_tightest is null or (v_tightest -> 'resetsIn')::bigint < v_frees_at - v_now then
          v_tightest := jsonb_build_object('allowed', false, 'count', v_count, 'seconds', v_window / 1000, 'remaining', 0,
            'resetsIn', v_frees_at - v_now);
        end if;
        if v_newest > v_at then
          update leadpipe.rate_counts set times = v_row.times, counts = v_row.counts, ends = v_at + v_window
          where rate = v_row.rate and key = v_row.key;
        end if;
      elsif v_look = 2 then
        v_rows[i + 1] := v_row;
      end if;
    end loop;
    if v_tightest is not null then
      return v_tightest;
    end if;
  end loop;

  for i in 0..jsonb_array_length(p_limits) - 1 loop
    v_limit := p_limits -> i;
    v_row := v_rows[i + 1];
    v_count := v_limit -> 'count';
    v_window := least((v_limit -> 'seconds')::bigint, 3600) * 1000;
    v_step := case when v_count <= 128 then 1 else (v_window + 127) / 128 end;
    v_at := (v_now + v_step - 1) / v_step * v_step;
    if v_row.times[cardinality(v_row.times)] = v_at then
      v_row.counts[cardinality(v_row.counts)] := v_row.counts[cardinality(v_row.counts)] + 1;
    else
      v_row.times := v_row.times || v_at;
      v_row.counts := v_row.counts || 1;
    end if;
    update leadpipe.rate_counts
    set times = v_row.times, counts = v_row.counts, half = case when v_row.half > v_at then v_at else v_row.half end,
      ends = v_at + v_window
    where rate = v_row.rate and key = v_row.key;
    v_left := v_count - (select sum(n) from unnest(v_row.counts) n);
    v_held := v_held || jsonb_build_array(v_limit || jsonb_build_object('at', v_at));
    if v_tightest is null or v_left < (v_tightest -> 'remaining')::bigint then
      v_tightest := jsonb_build_object('allowed', true, 'count', v_count, 'seconds', v_window / 1000, 'remaining', v_left,
        'resetsIn', v_row.times[1] + v_window - v_now);
    end if;
  end loop;
  return v_tightest || jsonb_build_object('held', v_held);
end
$$;

revoke all on function leadpipe.admit_rates(jsonb) from public, anon, authenticated;

-- Counts a request before its handler is called, in all limits that apply to it. `limits` are those of the client's
-- class, {rate, key, count, seconds} each, or absent without a limit. On admin routes, `secrets` are the hashes of the
-- presented keys, and `guesses` the limits of refused keys: a key that was accepted before counts by itself instead of
-- by its client and is no guess; any other counts as a guess, unless the request is refused. Returns {known, request,
-- guess}: whether the key was accepted before, and the results of `leadpipe.admit_rates`.
create or replace function public.admit_request(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_known text;
  v_request jsonb;
  v_guess jsonb;
begin
  if jsonb_array_length(p -> 'secrets') > 0 then
    select key into v_known from leadpipe.rate_counts
    where rate = 'accepted' and key in (select jsonb_array_elements_text(p -> 'secrets')) and ends > leadpipe.unix_milliseconds()
    order by key limit 1;
  end if;
  if jsonb_array_length(p -> 'limits') > 0 then
    v_request := leadpipe.admit_rates(case when v_known is null then p -> 'limits'
      else jsonb_build_array(p #> '{limits,0}' || jsonb_build_object('key', v_known)) end);
  end if;
  if v_known is null and jsonb_array_length(p -> 'guesses') > 0 and coalesce((v_request ->> 'allowed')::boolean, true) then
    v_guess := leadpipe.admit_rates(p -> 'guesses');
  end if;
  return jsonb_build_object('known', v_known is not null, 'request', v_request, 'guess', v_guess);
end
$$;

revoke all on function public.admit_request(jsonb) from public, anon, authenticated;

grant execute on function public.admit_request(jsonb) to leadpipe_intake, leadpipe_admin, service_role;

-- Gives back what `leadpipe.admit_rates` counted, whole or by half: two halves within a window count as one request, at
-- the time of the later one. Does nothing for an admission that has expired. Returns the tightest limit afterwards, as
-- admit_rates does.
create or replace function leadpipe.give_back_rates(p_held jsonb, p_half boolean) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_limit jsonb;
  v_row leadpipe.rate_counts;
  v_judged record;
  v_now bigint;
  v_at bigint;
  v_place integer;
  v_count bigint;
  v_window bigint;
  v_tightest jsonb;
begin
  for v_limit in select value from jsonb_array_elements(p_held) loop
    v_at := (v_limit ->> 'at')::bigint;
    v_count := (v_limit ->> 'count')::bigint;
    v_window := least((v_limit ->> 'seconds')::bigint, 3600) * 1000;
    select * into v_row from leadpipe.rate_counts where rate = v_limit ->> 'rate' and key = v_limit ->> 'key' for update;
    if not found then
      select * into v_row from leadpipe.rate_counts
      where rate = v_limit ->> 'rate' and key = 'shared ' || leadpipe.rate_bucket(v_limit ->> 'rate', v_limit ->> 'key') for update;
    end if;
    continue when not found;
    v_now := leadpipe.unix_milliseconds();
    v_place := array_position(v_row.times, v_at);
    if v_place is not null and v_at > v_now - v_window then
      if p_half and v_row.half > v_now - v_window then
        -- With this half, the earlier one makes a whole admission, which stays counted.
        v_row.half := null;
      else
        if p_half then
          v_row.half := v_at;
        end if;
        v_row.counts[v_place] := v_row.counts[v_place] - 1;
        if v_row.counts[v_place] = 0 then
          v_row.times := v_row.times[:v_place - 1] || v_row.times[v_place + 1:];
          v_row.counts := v_row.counts[:v_place - 1] || v_row.counts[v_place + 1:];
        end if;
      end if;
      update leadpipe.rate_counts
      set times = v_row.times, counts = v_row.counts, half = v_row.half,
        ends = coalesce(greatest(v_row.times[cardinality(v_row.times)], v_row.half) + v_window, 0)
      where rate = v_row.rate and key = v_row.key;
    end if;
    v_judged := leadpipe.judge_rate(v_row, v_count, v_window, v_now, 9223372036854775807);
    if v_tightest is null or v_count - v_judged.used < (v_tightest ->> 'remaining')::bigint then
      v_tightest := jsonb_build_object('allowed', v_judged.used < v_count, 'count', v_count, 'seconds', v_window / 1000,
        'remaining', greatest(v_count - v_judged.used, 0), 'resetsIn', coalesce(v_judged.frees_at - v_now, v_window));
    end if;
  end loop;
  return v_tightest;
end
$$;

revoke all on function leadpipe.give_back_rates(jsonb, boolean) from public, anon, authenticated;

-- Locks and returns the row that counts a client: its own, or the shared row of its bucket while the bucket is full. The
-- lock ends with the transaction. A client's insert of its own row excludes every other call for the same client, so
-- that no admission is counted where another call does not look.
create or replace function leadpipe.hold_rate(p_rate text, p_key text) returns leadpipe.rate_counts
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_row leadpipe.rate_counts;
  v_shared leadpipe.rate_counts;
  v_bucket smallint;
  v_now bigint;
begin
  loop
    select * into v_row from leadpipe.rate_counts where rate = p_rate and key = p_key for update;
    if found then
      return v_row;
    end if;
    v_bucket := leadpipe.rate_bucket(p_rate, p_key);
    insert into leadpipe.rate_counts (rate, key, bucket) values (p_rate, p_key, v_bucket)
    on conflict (rate, key) do nothing returning * into v_row;
    exit when found;
  end loop;
  v_now := leadpipe.unix_milliseconds();
  -- A locked row is in use: it is left for another call.
  delete from leadpipe.rate_counts where (rate, key) in (
    select c.rate, c.key from leadpipe.rate_counts c
    where c.rate = p_rate and c.bucket = v_bucket and c.ends <= v_now and c.key <> p_key for update skip locked);
  if (select count(*) from leadpipe.rate_counts where rate = p_rate and bucket = v_bucket and not starts_with(key, 'shared ')) <= 64 then
    -- All admissions in the shared row may have been this client's, so its history begins with them.
    select * into v_shared from leadpipe.rate_counts where rate = p_rate and key = 'shared ' || v_bucket and ends > v_now;
    if found then
      update leadpipe.rate_counts set times = v_shared.times, counts = v_shared.counts, half = v_shared.half, ends = v_shared.ends
      where rate = p_rate and key = p_key returning * into v_row;
    end if;
    return v_row;
  end if;
  delete from leadpipe.rate_counts where rate = p_rate and key = p_key;
  loop
    select * into v_row from leadpipe.rate_counts where rate = p_rate and key = 'shared ' || v_bucket for update;
    exit when found;
    insert into leadpipe.rate_counts (rate, key, bucket) values (p_rate, 'shared ' || v_bucket, v_bucket)
    on conflict (rate, key) do nothing;
  end loop;
  return v_row;
end
$$;

revoke all on function leadpipe.hold_rate(text, text) from public, anon, authenticated;

-- Examines the admissions of a row at a time: those that count, how many they are, and when the next request is allowed
-- or, if one is allowed now, when the first admission expires (null without any). A time in the future, after the clock
-- was set back, is replaced by `p_latest`: the admission was before now, so it counts for no longer than from now.
-- PL/pgSQL keeps the plan of the query; an SQL function would make it again in every transaction, which takes longer
-- than the rest of an admission.
create or replace function leadpipe.judge_rate(
  p_row leadpipe.rate_counts, p_count bigint, p_window bigint, p_now bigint, p_latest bigint,
  out times bigint[], out counts integer[], out used bigint, out frees_at bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  select array_agg(at order by at), array_agg(n order by at), coalesce(max(total), 0),
    min(at) filter (where upto > total - p_count) + p_window
  into times, counts, used, frees_at
  from (
    select at, n, sum(n) over (order by at)::bigint as upto, sum(n) over ()::bigint as total
    from (select least(u.at, p_latest) as at, sum(u.n)::integer as n from unnest(p_row.times, p_row.counts) u(at, n)
          where u.at > p_now - p_window group by 1) live) sums;
end
$$;

revoke all on function leadpipe.judge_rate(leadpipe.rate_counts, bigint, bigint, bigint, bigint) from public, anon, authenticated;

-- Returns the bucket of a key, 0 to 1023. The hash depends on the cluster's identifier, which no client can see, so that
-- none can choose addresses that fill the bucket of another. A stored seed would have to be added by the first call,
-- for which all others would wait.
create or replace function leadpipe.rate_bucket(p_rate text, p_key text) returns smallint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return hashtextextended(p_rate || ' ' || p_key, (select system_identifier from pg_control_system())) & 1023;
end
$$;

revoke all on function leadpipe.rate_bucket(text, text) from public, anon, authenticated;

-- Corrects the counts of a request after its reply. `request` and `guess` are {held, half}: admissions to give back.
-- `guesses` are limits in which one more guess counts: a key that was accepted before is refused now. `accepted` and
-- `refused` are hashes of keys that were accepted, or are no longer. An accepted key is remembered for a day, if its
-- bucket has room. Returns {request}: the state of the request's limit, null if nothing of it was given back.
create or replace function public.settle_request(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_request jsonb;
  v_key text;
  v_row leadpipe.rate_counts;
begin
  if p ? 'request' then
    v_request := leadpipe.give_back_rates(p #> '{request,held}', (p #>> '{request,half}')::boolean);
  end if;
  if p ? 'guess' then
    perform leadpipe.give_back_rates(p #> '{guess,held}', (p #>> '{guess,half}')::boolean);
  end if;
  if p ? 'guesses' then
    perform leadpipe.admit_rates(p -> 'guesses');
  end if;
  for v_key in select distinct jsonb_array_elements_text(p -> 'accepted') order by 1 loop
    v_row := leadpipe.hold_rate('accepted', v_key);
    update leadpipe.rate_counts set ends = leadpipe.unix_milliseconds() + 86400000 where rate = 'accepted' and key = v_row.key and key = v_key;
  end loop;
  delete from leadpipe.rate_counts where rate = 'accepted' and key in (select jsonb_array_elements_text(p -> 'refused'));
  return jsonb_build_object('request', v_request);
end
$$;

revoke all on function public.settle_request(jsonb) from public, anon, authenticated;

grant execute on function public.settle_request(jsonb) to leadpipe_intake, leadpipe_admin, service_role;

-- Returns the current time of the database's clock in Unix milliseconds. It is not the time at which the transaction
-- began, because a call may have waited for a row since then.
create or replace function leadpipe.unix_milliseconds() returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  return floor(extract(epoch from clock_timestamp()) * 1000);
end
$$;

revoke all on function leadpipe.unix_milliseconds() from public, anon, authenticated;

-- Deletes finished rows older than `days`, in one small batch: events with their deliveries and attempts, attempts
-- without a delivery, and workers that have stopped. Also deletes idempotency keys older than 7 days, those made from
-- the content after an hour, and expired rate counts: they no longer have any effect. Without `days`, deletes only
-- these. Unfinished rows are kept, however old. Deletes at most about `batch` rows per call (default and maximum 1,000)
-- and 10,000 rate counts, in statements that take milliseconds. `isComplete` is true when nothing is left. Locked rows
-- are left for another call.
create or replace function public.prune(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch integer := least(greatest(coalesce((p ->> 'batch')::integer, 1000), 10), 1000);
  v_before timestamptz := clock_timestamp() - make_interval(days => (p ->> 'days')::integer);
  v_old uuid[];
  v_gone uuid[];
  v_events integer := 0;
  v_deliveries integer := 0;
  v_attempts integer := 0;
  v_orphans integer := 0;
  v_keys integer;
begin
  with old as (
    delete from public.idempotency_keys where (route, key) in (
      select route, key from public.idempotency_keys where created_at < clock_timestamp() - interval '7 days'
      order by created_at limit v_batch / 8 for update skip locked)
    returning 1),
  repeats as (
    delete from public.idempotency_keys where (route, key) in (
      select route, key from public.idempotency_keys
      where starts_with(key, 'repeat ') and created_at < clock_timestamp() - interval '1 hour'
        and created_at >= clock_timestamp() - interval '7 days'
      order by created_at limit v_batch / 8 for update skip locked)
    returning 1)
  select (select count(*) from old) + (select count(*) from repeats) into v_keys;

  -- Expired rows also make room when new clients arrive. These are of a limit that nobody uses any more.
  delete from leadpipe.rate_counts where (rate, key) in (
    select c.rate, c.key from leadpipe.rate_counts c where c.ends < leadpipe.unix_milliseconds() limit 10000 for update skip locked);

  if v_before is not null then
    -- An event has about three deliveries with their attempts.
    select array_agg(id) into v_old from (
      select e.id from public.lead_events e
      where e.processed and e.processed_at < v_before
        and not exists (select from public.notification_logs d
                        where d.lead_event_id = e.id and (d.due_at is not null or d.status = 'sending'))
      order by e.processed_at limit v_batch / 10 for update of e skip locked) old;
    if v_old is not null then
      -- By ids: with a join, the planner might scan all attempts.
      select array_agg(d.id) into v_gone from public.notification_logs d where d.lead_event_id = any (v_old);
      delete from public.notification_attempts a where a.delivery = any (v_gone);
      get diagnostics v_attempts = row_count;
      delete from public.notification_logs d where d.lead_event_id = any (v_old);
      get diagnostics v_deliveries = row_count;
      delete from public.lead_events e where e.id = any (v_old);
      get diagnostics v_events = row_count;
    end if;
    -- Attempts whose deliveries were deleted with their conversation.
    delete from public.notification_attempts a where (a.delivery, a.fence) in (
      select o.delivery, o.fence from public.notification_attempts o
      where o.started_at < v_before and not exists (select from public.notification_logs d where d.id = o.delivery)
      order by o.started_at limit v_batch / 4 for update skip locked);
    get diagnostics v_orphans = row_count;
    delete from public.workers where name in (
      select w.name from public.workers w where w.last_seen < v_before order by w.name for update skip locked);
  end if;
  return jsonb_build_object('events', v_events, 'deliveries', v_deliveries, 'attempts', v_attempts + v_orphans,
    'idempotencyKeys', v_keys,
    'isComplete', v_events < v_batch / 10 and v_orphans < v_batch / 4 and v_keys < v_batch / 8);
end
$$;

revoke all on function public.prune(jsonb) from public, anon, authenticated;

grant execute on function public.prune(jsonb) to leadpipe_worker, service_role;
