-- Returns the part of a search that the word index can answer: its words and exact terms, combined. Null if there are
-- none. Of the SLA state, the index contains only what does not change with time.
create or replace function leadpipe.search_terms(f leadpipe.conversation_search) returns tsquery
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_terms tsquery;
begin
  v_terms := nullif(concat_ws('&', '(' || f.wanted::text || ')',
    leadpipe.any_exact_term('s=', f.statuses), leadpipe.any_exact_term('q=', f.qualities), leadpipe.any_exact_term('i=', f.intents),
    leadpipe.any_exact_term('a=', f.areas), leadpipe.any_exact_term('g=', array_replace(f.agents::text[], '00000000-0000-0000-0000-000000000000', 'none')), leadpipe.any_exact_term('o=', f.sources),
    leadpipe.any_exact_term('l=', array(
      select distinct answer from unnest(f.sla_states) as state,
        unnest(case state when 'met' then '{met}' when 'breached' then '{late,open}' when 'warning' then '{open}' else '{closed,open}' end::text[])
        as answer)),
    leadpipe.any_exact_term('t=', f.tags, '&')), '')::tsquery;
  -- The index cannot answer what is only excluded.
  return case when f.statuses is null then v_terms && '!''s=spam''' else v_terms end;
end
$$;
revoke all on function leadpipe.search_terms(leadpipe.conversation_search) from public, anon, authenticated;
