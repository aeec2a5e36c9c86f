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
