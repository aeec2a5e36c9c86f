-- Raises lead_too_large if an argument of capture_lead exceeds what can be shown later. Its handlers have checked it
-- with lower limits; this is for a caller that has only stolen their login. Times must be from 1970 to 9999, numbers at
-- most 1e200, and nesting at most 16 levels. The sizes of single fields are not checked in a small argument, which
-- cannot exceed them: this runs for every lead.
create or replace function leadpipe.check_lead(p jsonb) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_size constant integer := octet_length(p::text);
  v_sent constant jsonb := p - 'idempotency';
  v_lead constant jsonb := p -> 'lead';
  v_messages constant jsonb := case when jsonb_typeof(p -> 'messages') = 'array' then p -> 'messages' else '[]' end;
begin
  if v_size > 2097152 or v_sent @? 'strict $.**{17}'
    or v_sent @? '$.** ? (@.type() == "number" && (@ > 1e200 || @ < -1e200))'
    or coalesce(jsonb_typeof(v_lead -> 'budgetAmount'), 'null') not in ('number', 'null')
    or coalesce(jsonb_typeof(v_lead -> 'budgetMin'), 'null') not in ('number', 'null')
    or coalesce(jsonb_typeof(v_lead -> 'budgetMax'), 'null') not in ('number', 'null')
    or exists (
      select from (
        select p ->> 'receivedAt'
        union all select v_lead ->> 'slaDeadline' union all select v_lead ->> 'startTime' union all select v_lead ->> 'endTime'
        union all select value from jsonb_each_text(coalesce(nullif(v_lead -> 'slaDeadlines', 'null'), '{}'))
        union all select m ->> 'timestamp' from jsonb_array_elements(v_messages) as sent (m)
      ) as sent (at)
      where at::timestamptz not between '1970-01-01 00:00Z' and '9999-12-31 23:59Z')
    -- They are in an index, whose entries are smaller.
    or exists (select from jsonb_array_elements(v_messages) as sent (m) where octet_length(m ->> 'id') > 1000)
    or v_size > 4000 and (
      exists (
        select from jsonb_each(v_lead) as field where octet_length(value::text) > case
          when jsonb_typeof(value) = 'object' or key = 'deviceInfo' then 65536 when key = 'notes' then 80000 when key = 'tags' then 40000 else 4000 end)
      or octet_length(coalesce(p -> 'event', '{}')::text) > 65536
      or exists (
        select from jsonb_each(p - '{idempotency,lead,messages,event}'::text[]) as field where octet_length(value::text) > 4000)
      or jsonb_array_length(v_messages) > 1000
      or exists (
        select from jsonb_array_elements(v_messages) as sent (m), jsonb_each(case when jsonb_typeof(m) = 'object' then m else '{}' end) as field
        where octet_length(value::text) > case when key in ('text', 'metadata') then 65536 else 4000 end))
  then
    raise exception using errcode = 'LP400', message = 'lead_too_large';
  end if;
end
$$;
revoke all on function leadpipe.check_lead(jsonb) from public, anon, authenticated;
