-- Looks at the next `p_most` of the known words, beginning again at the end of the list, and removes those that no
-- conversation contains: words of deleted conversations. Does nothing while another call indexes.
create or replace function leadpipe.sweep_words(p_most integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
  v_to text;
  v_words text[];
begin
  insert into leadpipe.index_lock default values on conflict do nothing;
  select l.swept_to into v_to from leadpipe.index_lock l for update skip locked;
  if not found then
    return;
  end if;
  v_words := array(select k.word from public.known_words k where k.word > coalesce(v_to, '') order by k.word limit p_most);
  if v_words = '{}' and v_to is null then
    return;
  end if;
  perform leadpipe.forget_words(v_words);
  update leadpipe.index_lock set swept_to = case when cardinality(v_words) = p_most then v_words[p_most] end where only_row;
end
$$;
revoke all on function leadpipe.sweep_words(integer) from public, anon, authenticated;
