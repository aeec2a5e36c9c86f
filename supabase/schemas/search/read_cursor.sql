-- Returns the position of a cursor in a list of `p_segments` segments: its segment and, in `search`, the last row of
-- the previous page. Raises LP400 if the cursor does not belong to this list and sort order.
create or replace function leadpipe.read_cursor(
  p_cursor text, p_sort text, p_key text, p_segments integer, inout search leadpipe.conversation_search, out segment integer)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_parts jsonb := leadpipe.decode_cursor(p_cursor, p_sort, 5);
begin
  segment := (v_parts ->> 1)::integer;
  search.after_created := (v_parts ->> 3)::timestamptz;
  search.after_id := (v_parts ->> 4)::uuid;
  case when p_key = 't.lead_score' then search.after_score := (v_parts ->> 2)::integer;
    when segment = 2 or p_key = 'null' then null;
    when p_key = 't.amount' then search.after_amount := (v_parts ->> 2)::double precision;
    else search.after_time := (v_parts ->> 2)::timestamptz; end case;
  if num_nulls(segment, search.after_created, search.after_id) > 0 or segment not between 1 and p_segments
    or (p_key <> 'null' and (segment = 1 or p_key = 't.lead_score')
        and num_nonnulls(search.after_score, search.after_amount, search.after_time) = 0) then
    raise exception using errcode = 'LP400';
  end if;
exception when others then
  raise exception using errcode = 'LP400', message = 'invalid_cursor', detail = '{"field": "cursor"}';
end
$$;
revoke all on function leadpipe.read_cursor(text, text, text, integer, leadpipe.conversation_search) from public, anon, authenticated;
