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
