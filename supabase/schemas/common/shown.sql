-- Returns stored JSON as it is put into a reply. A value that readers of the reply could not handle is replaced by
-- {"unreadable": reason}, so that one row never fails a page, a feed or a claim. It may have `p_most` bytes.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.shown(p jsonb, p_most integer default 65536) returns jsonb
language sql stable as $$
  select case
    when pg_catalog.octet_length(p::text) > p_most then pg_catalog.jsonb_build_object('unreadable', pg_catalog.format('it is larger than %s KiB', p_most / 1024))
    when p @? 'strict $.**{17}' then '{"unreadable": "it is nested deeper than 16 levels"}'
    else p end
$$;
revoke all on function leadpipe.shown(jsonb, integer) from public, anon, authenticated;
