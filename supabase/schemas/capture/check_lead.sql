-- Raises lead_too_large if an argument of capture_lead exceeds what can be shown later. Its handlers have checked it
-- with lower limits; this is for a caller that has only stolen their login. Times must be from 1970 to 9999, numbers at
-- most 1e200, and nesting at most 16 levels. The sizes of single fields are not checked in a small argument, which
-- cannot exceed them: this runs for every lead. Of `idempotency`, only the key is stored and counts.
--
-- For the same reason, what most leads have is checked by expressions without a query, which cost a tenth of one. Each
-- large member is checked on its own, because `p - 'x'` copies all others.
create or replace function leadpipe.check_lead(p jsonb) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  c_first constant timestamptz := '1970-01-01 00:00Z';
  c_last constant timestamptz := '9999-12-31 23:59Z';
  v_lead constant jsonb := p -> 'lead';
  v_event constant jsonb := coalesce(p -> 'event', '{}');
  v_messages constant jsonb := coalesce(p -> 'messages', '[]');
  v_rest constant jsonb := p - '{idempotency,lead,messages,event}'::text[];
  v_size constant integer := coalesce(octet_length(v_lead::text), 0) + octet_length(v_event::text) + octet_length(v_messages::text)
    + octet_length(v_rest::text) + coalesce(octet_length(p #>> '{idempotency,key}'), 0);
  v_message jsonb;
  v_is_large boolean;
begin
  -- abs() fails for anything that is not a number, and a filter that fails counts as false.
  v_is_large := v_size > 2097152
    or v_lead @? 'strict $.**{16}' or v_event @? 'strict $.**{16}' or v_messages @? 'strict $.**{16}' or v_rest @? 'strict $.**{17}'
    or v_lead @? 'strict $.** ? (@.abs() > 1e200)' or v_event @? 'strict $.** ? (@.abs() > 1e200)'
    or v_messages @? 'strict $.** ? (@.abs() > 1e200)' or v_rest @? 'strict $.** ? (@.abs() > 1e200)'
    or coalesce(jsonb_typeof(v_lead -> 'budgetAmount'), 'null') not in ('number', 'null')
    or coalesce(jsonb_typeof(v_lead -> 'budgetMin'), 'null') not in ('number', 'null')
    or coalesce(jsonb_typeof(v_lead -> 'budgetMax'), 'null') not in ('number', 'null')
    or (p ->> 'receivedAt')::timestamptz not between c_first and c_last
    or (v_lead ->> 'slaDeadline')::timestamptz not between c_first and c_last
    or (v_lead ->> 'startTime')::timestamptz not between c_first and c_last
    or (v_lead ->> 'endTime')::timestamptz not between c_first and c_last
    or jsonb_typeof(v_messages) = 'array' and jsonb_array_length(v_messages) > 1000;
  if v_is_large is not true and coalesce(jsonb_typeof(v_lead -> 'slaDeadlines'), 'null') <> 'null' then
    v_is_large := exists (
      select from jsonb_each_text(v_lead -> 'slaDeadlines') as sent where value::timestamptz not between c_first and c_last);
  end if;
  if v_is_large is not true then
    for n in 0 .. case when jsonb_typeof(v_messages) = 'array' then jsonb_array_length(v_messages) else 0 end - 1 loop
      v_message := v_messages -> n;
      -- Ids are in an index, whose entries are smaller.
      v_is_large := (v_message ->> 'timestamp')::timestamptz not between c_first and c_last or octet_length(v_message ->> 'id') > 1000;
      exit when v_is_large;
    end loop;
  end if;
  if v_is_large is not true and v_size > 4000 then
    v_is_large := octet_length(v_event::text) > 65536
      or exists (
        select from jsonb_each(v_lead) as field where octet_length(value::text) > case
          when jsonb_typeof(value) = 'object' or key = 'deviceInfo' then 65536 when key = 'notes' then 80000 when key = 'tags' then 40000 else 4000 end)
      or exists (select from jsonb_each(v_rest) as field where octet_length(value::text) > 4000)
      or exists (
        select from jsonb_array_elements(case when jsonb_typeof(v_messages) = 'array' then v_messages else '[]' end) as sent (m), jsonb_each(case when jsonb_typeof(m) = 'object' then m else '{}' end) as field
        where octet_length(value::text) > case when key in ('text', 'metadata') then 65536 else 4000 end);
  end if;
  if v_is_large then
    raise exception using errcode = 'LP400', message = 'lead_too_large';
  end if;
end
$$;
revoke all on function leadpipe.check_lead(jsonb) from public, anon, authenticated;
