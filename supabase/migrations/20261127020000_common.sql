-- Formats a time as in the API: UTC, with milliseconds.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.iso8601(p_time timestamptz) returns text language sql stable as
  $$ select pg_catalog.to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;
revoke all on function leadpipe.iso8601(timestamptz) from public, anon, authenticated;

-- Returns the string in Unicode NFC. Most strings are in NFC already: ASCII always is, and checking is cheaper than
-- normalizing.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.to_nfc(p text) returns text language sql immutable as
  $$ select case when octet_length(p) = length(p) or p is nfc normalized then p else normalize(p, nfc) end $$;
revoke all on function leadpipe.to_nfc(text) from public, anon, authenticated;

-- Returns a JSON array as text[]. Null if it is empty.
create or replace function leadpipe.text_array(p jsonb) returns text[]
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
  select case when jsonb_array_length(p) > 0 then array(select jsonb_array_elements_text(p)) end
$$;
revoke all on function leadpipe.text_array(jsonb) from public, anon, authenticated;

-- Parses a time or a date. For a date, returns the beginning of that day in the time zone or, with `p_end`, the
-- beginning of the next day.
create or replace function leadpipe.parse_moment(p text, p_zone text, p_end boolean) returns timestamptz
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case when p ~ '^\d{4}-\d\d-\d\d$' then ((p::date + p_end::integer)::timestamp at time zone p_zone) else p::timestamptz end
$$;
revoke all on function leadpipe.parse_moment(text, text, boolean) from public, anon, authenticated;

-- Encodes a position in a list as a cursor: JSON in base64url, opaque to the client.
create or replace function leadpipe.encode_cursor(p jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return translate(encode(convert_to(p::text, 'UTF8'), 'base64'), E'+/=\n', '-_');
end
$$;
revoke all on function leadpipe.encode_cursor(jsonb) from public, anon, authenticated;

-- Decodes a cursor. Raises LP400 if it is malformed, belongs to another list or sort order, or has a different number
-- of parts.
create or replace function leadpipe.decode_cursor(p text, p_order text, p_parts integer) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_parts jsonb;
begin
  if p ~ '^[A-Za-z0-9_-]+$' and length(p) <= 400 then
    v_parts := convert_from(decode(translate(p, '-_', '+/') || repeat('=', -length(p) & 3), 'base64'), 'UTF8');
  end if;
  if v_parts ->> 0 is distinct from p_order or jsonb_array_length(v_parts) <> p_parts then
    raise exception using errcode = 'LP400';
  end if;
  return v_parts;
exception when others then
  raise exception using errcode = 'LP400', message = 'invalid_cursor', detail = '{"field": "cursor"}';
end
$$;
revoke all on function leadpipe.decode_cursor(text, text, integer) from public, anon, authenticated;

-- Returns the cursor of a row in a list that is ordered by time and id. Null if there is no row.
create or replace function leadpipe.row_cursor(p_list text, p_at timestamptz, p_id uuid) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select leadpipe.encode_cursor(jsonb_build_array(p_list, p_at, p_id)) where p_id is not null
$$;
revoke all on function leadpipe.row_cursor(text, timestamptz, uuid) from public, anon, authenticated;

-- Returns the position {at, id} of a cursor. Null if there is no cursor.
create or replace function leadpipe.cursor_position(p_list text, p_cursor text) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_parts jsonb;
begin
  if p_cursor is not null then
    v_parts := leadpipe.decode_cursor(p_cursor, p_list, 3);
    return jsonb_build_object('at', (v_parts ->> 1)::timestamptz, 'id', (v_parts ->> 2)::uuid);
  end if;
  return null;
exception when data_exception then
  raise exception using errcode = 'LP400', message = 'invalid_cursor', detail = '{"field": "cursor"}';
end
$$;
revoke all on function leadpipe.cursor_position(text, text) from public, anon, authenticated;

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
