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
