-- Returns the size of a page and the number of rows to skip before it. With a cursor, no rows are skipped.
create or replace function leadpipe.page_bounds(p jsonb, out size integer, out skip bigint)
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select size, case when p ->> 'cursor' is null then (greatest(coalesce((p ->> 'page')::bigint, 1), 1) - 1) * size else 0 end
  from (select least(greatest(coalesce((p ->> 'limit')::integer, 50), 1), 200)) as page (size)
$$;
revoke all on function leadpipe.page_bounds(jsonb) from public, anon, authenticated;

-- Returns the metadata of a page. If `p_total` is null, as for a page requested by cursor, the metadata has no page
-- number and no total.
create or replace function leadpipe.page_info(p jsonb, p_total bigint, p_next text) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('limit', (leadpipe.page_bounds(p)).size, 'nextCursor', p_next)
    || case when p_total is null then '{}' else jsonb_build_object('page', coalesce((p ->> 'page')::bigint, 1), 'total', p_total) end
$$;
revoke all on function leadpipe.page_info(jsonb, bigint, text) from public, anon, authenticated;
