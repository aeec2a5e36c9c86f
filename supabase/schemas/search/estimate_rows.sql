-- Returns the number of rows that the planner estimates for a query on a search.
create or replace function leadpipe.estimate_rows(p_query text, f leadpipe.conversation_search) returns double precision
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_plan json;
begin
  execute 'explain (format json) ' || p_query into v_plan using f;
  return (v_plan #>> '{0,Plan,Plan Rows}')::double precision;
end
$$;
revoke all on function leadpipe.estimate_rows(text, leadpipe.conversation_search) from public, anon, authenticated;
