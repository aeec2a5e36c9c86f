-- Returns stored JSON as it is put into a reply. A value that readers of the reply could not handle is replaced by
-- {"unreadable": reason}, so that one row never fails a page, a feed or a claim.
create or replace function leadpipe.shown(p jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when octet_length(p::text) > 65536 then '{"unreadable": "it is larger than 64 KiB"}'
    when p @? 'strict $.**{17}' then '{"unreadable": "it is nested deeper than 16 levels"}'
    else p end
$$;
revoke all on function leadpipe.shown(jsonb) from public, anon, authenticated;
