-- Returns the strategies by which find_conversations looks for a page, in order: all rows found by the word index
-- (set), only the latest of these (latest), p_walk rows of the index of the sort order (stroll), and that index to its
-- end (walk). The planner estimates that `p_expected` of the existing `p_rows` rows match; `p_wanted` of them are
-- requested.
create or replace function leadpipe.search_ways(
  f leadpipe.conversation_search, p_answers_alone boolean, p_behind bigint, p_expected double precision, p_rows double precision, p_wanted integer,
  p_walk integer, p_exact integer)
returns text[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return case
    when f.terms is null or p_behind > 0 then '{walk}'
    -- The rows of a few days are read directly.
    when num_nonnulls(f.since, f.until) > 0 and leadpipe.estimate_rows(
      'select from public.conversations t where t.created_at >= coalesce(($1).since, ''-infinity'') '
      'and t.created_at < coalesce(($1).until, ''infinity'')', f) <= 2 * p_exact then '{walk}'
    -- The word index would find too many rows, and the planner has indexes for the other conditions.
    when f.wanted is null and not p_answers_alone
      and leadpipe.estimate_rows('select from public.conversation_words t where t.words @@ ($1).terms', f) > p_exact / 2 then '{walk}'
    -- Few conversations have the same email address or phone number.
    when f.wanted::text ~ '''[epr]=' then '{set,stroll,walk}'
    -- The planner cannot estimate prefixes of words, and overestimates rare words by far.
    when f.wanted::text ~ '''[^''=0-9][^''=][^'']*'':\*' then '{stroll,set,walk}'
    when f.wanted::text like '%|%' and p_expected < p_rows / 10 then '{latest,set,walk}'
    when p_expected * p_walk >= p_wanted * p_rows then '{stroll,set,walk}'
    when p_expected > 500 then '{latest,set,walk}'
    else '{set,stroll,walk}' end;
end
$$;
revoke all on function leadpipe.search_ways(
  leadpipe.conversation_search, boolean, bigint, double precision, double precision, integer, integer, integer) from public, anon, authenticated;
