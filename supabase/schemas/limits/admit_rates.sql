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
