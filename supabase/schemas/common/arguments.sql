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
