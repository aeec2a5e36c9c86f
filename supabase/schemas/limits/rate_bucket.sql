-- Returns the bucket of a key, 0 to 1023. The hash has a random seed, in a row of its own, so that no client can choose
-- addresses that fill the bucket of another.
create or replace function leadpipe.rate_bucket(p_rate text, p_key text) returns smallint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_seed bigint;
begin
  loop
    select half into v_seed from leadpipe.rate_counts where rate = '' and key = 'seed';
    exit when found;
    insert into leadpipe.rate_counts (rate, key, bucket, half, ends)
    values ('', 'seed', 0, hashtextextended(gen_random_uuid()::text, 0), 9223372036854775807) on conflict (rate, key) do nothing;
  end loop;
  return hashtextextended(p_rate || ' ' || p_key, v_seed) & 1023;
end
$$;
revoke all on function leadpipe.rate_bucket(text, text) from public, anon, authenticated;
