-- Returns a query for all words of a string, or for any if `p_operator` is `|`. Null if it has no words. A single
-- character and a number of up to 3 digits match whole words only, because too many words begin with them.
create or replace function leadpipe.word_query(p text, p_operator text) returns text
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  c_most constant integer := 200;
  v_word text;
  v_known text[];
  v_terms text[];
begin
  for v_word in select lexeme from unnest(leadpipe.text_words(p)) loop
    if v_word ~ '^(.|[0-9]{2,3})$' then
      v_terms := v_terms || leadpipe.quote_lexeme(v_word);
    else
      v_known := case when v_word !~ '^[0-9]+$' and p_operator = '&' then
        array(select leadpipe.quote_lexeme(word) from public.known_words where word like replace(v_word, '_', '\_') || '%' limit c_most + 1) end;
      v_terms := v_terms || case
        when v_known = '{}' then leadpipe.quote_lexeme(v_word)
        when cardinality(v_known) <= c_most then '(' || array_to_string(v_known, '|') || ')'
        else leadpipe.quote_lexeme(v_word) || ':*' end;
    end if;
  end loop;
  return array_to_string(v_terms, p_operator);
end
$$;
revoke all on function leadpipe.word_query(text, text) from public, anon, authenticated;
