-- Returns the words of a string, up to its first 200,000 characters.
create or replace function leadpipe.text_words(p text) returns tsvector
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  return to_tsvector('pg_catalog.simple', coalesce(left(leadpipe.fold_text(p), 200000), ''));
end
$$;
revoke all on function leadpipe.text_words(text) from public, anon, authenticated;

-- Returns a term that is compared as a whole, such as a status, an area or a tag. Terms contain `=`, which words do
-- not.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.exact_term(p_kind text, p_value text) returns text
language sql immutable parallel safe as
  $$ select p_kind || case when length(p_value) > 100 then md5(p_value) else p_value end $$;
revoke all on function leadpipe.exact_term(text, text) from public, anon, authenticated;

-- Quotes a string for tsvector and tsquery.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.quote_lexeme(p text) returns text
language sql immutable parallel safe as
  $$ select '''' || replace(replace(p, '\', '\\'), '''', '''''') || '''' $$;
revoke all on function leadpipe.quote_lexeme(text) from public, anon, authenticated;

-- Returns the email addresses in a string, at most 200, as exact terms with a weight.
create or replace function leadpipe.mail_terms(p text, p_weight text) returns tsvector
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  if p not like '%@%' then
    return '';
  end if;
  return coalesce((
    select string_agg(leadpipe.quote_lexeme('e=' || left(m[1], 300)) || ':1' || p_weight, ' ')
    from (select m from regexp_matches(lower(p), '[^[:space:]<>"''(),;:@]+@[^[:space:]<>"''(),;:@]*[^[:space:]<>"''(),;:@.]', 'g') as m
          limit 200) first), '')::tsvector;
end
$$;
revoke all on function leadpipe.mail_terms(text, text) from public, anon, authenticated;

-- Returns a query for any of the values, or for all of them if `p_operator` is `&`. Null if there are none.
create or replace function leadpipe.any_exact_term(p_kind text, p_values text[], p_operator text default '|') returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  return (select '(' || string_agg(leadpipe.quote_lexeme(leadpipe.exact_term(p_kind, value)), p_operator) || ')' from unnest(p_values) as value);
end
$$;
revoke all on function leadpipe.any_exact_term(text, text[], text) from public, anon, authenticated;
