-- Returns the distinct texts of a list that an agent speaks or knows, in lower case if they are languages. Null if there are
-- none.
create or replace function leadpipe.agent_words(p jsonb, p_is_languages boolean) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select array_agg(word order by first) from (
    select case when p_is_languages then lower(each) else leadpipe.to_nfc(each) end as word, min(n) as first
    from jsonb_array_elements_text(nullif(p, 'null')) with ordinality as sent (each, n) group by 1) words
$$;
revoke all on function leadpipe.agent_words(jsonb, boolean) from public, anon, authenticated;
