-- Raises lead_too_large if an argument has more than `p_most` bytes, more than 16 levels or a number beyond 1e200: what
-- it would store could not be shown. Handlers have checked it with lower limits; this is for a caller that has only
-- stolen their login.
create or replace function leadpipe.check_size(p jsonb, p_most integer) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- abs() of anything else than a number is an error, which a filter takes for false.
  if octet_length(p::text) > p_most or p @? 'strict $.**{17}' or p @? 'strict $.** ? (@.abs() > 1e200)'
  then
    raise exception using errcode = 'LP400', message = 'lead_too_large';
  end if;
end
$$;
revoke all on function leadpipe.check_size(jsonb, integer) from public, anon, authenticated;
