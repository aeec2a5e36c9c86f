-- Removes those of the words that no conversation contains from the list of known words. The caller holds the lock of the
-- word index, so that no word is added meanwhile.
create or replace function leadpipe.forget_words(p_words text[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off set gin_fuzzy_search_limit = 0 as $$
declare
  v_gone text[];
  v_count integer;
begin
  if coalesce(p_words, '{}') = '{}' then
    return 0;
  end if;
  -- First without reading all conversations of a word that occurs everywhere: about a thousand of them are enough to know
  -- that it occurs. The random choice could be of deleted rows only, so the result is checked without this limit.
  perform set_config('gin_fuzzy_search_limit', '1000', true);
  v_gone := array(
    select k.word from public.known_words k
    where k.word = any (p_words) and not exists (select from public.conversation_words w where w.words @@ leadpipe.quote_lexeme(k.word)::tsquery));
  perform set_config('gin_fuzzy_search_limit', '0', true);
  delete from public.known_words k
  where k.word = any (v_gone) and not exists (select from public.conversation_words w where w.words @@ leadpipe.quote_lexeme(k.word)::tsquery);
  get diagnostics v_count = row_count;
  return v_count;
end
$$;
revoke all on function leadpipe.forget_words(text[]) from public, anon, authenticated;
