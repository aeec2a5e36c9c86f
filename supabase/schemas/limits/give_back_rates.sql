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
