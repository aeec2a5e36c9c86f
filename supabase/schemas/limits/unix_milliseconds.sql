-- Returns the current time of the database's clock in Unix milliseconds. It is not the time at which the transaction
-- began, because a call may have waited for a row since then.
create or replace function leadpipe.unix_milliseconds() returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  return floor(extract(epoch from clock_timestamp()) * 1000);
end
$$;
revoke all on function leadpipe.unix_milliseconds() from public, anon, authenticated;
