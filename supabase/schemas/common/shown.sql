-- Returns stored JSON as it is put into a reply. A value that readers of the reply could not handle is replaced by
-- {"unreadable": reason}, so that one row never fails a page, a feed or a claim. It may have `p_most` bytes.
create or replace function leadpipe.shown(p jsonb, p_most integer default 65536) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when octet_length(p::text) > p_most then jsonb_build_object('unreadable', format('it is larger than %s KiB', p_most / 1024))
    when p @? 'strict $.**{17}' then '{"unreadable": "it is nested deeper than 16 levels"}'
    else p end
$$;
revoke all on function leadpipe.shown(jsonb, integer) from public, anon, authenticated;
