-- The ways in which find_conversations looks for a page, in their order: all rows that the index of words gives (set),
-- the latest of them (latest), the order's index for p_walk rows (stroll), and the same to the end (walk). `p_expected`
-- of the `p_rows` rows that there are match, as the planner estimates, and `p_wanted` of them are asked for.
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
    -- The index of words would leave too many rows, and the planner has indexes for the other conditions.
    when f.wanted is null and not p_answers_alone
      and leadpipe.estimate_rows('select from public.conversation_words t where t.words @@ ($1).terms', f) > p_exact / 2 then '{walk}'
    -- Few conversations have the same mail address or number.
    when f.wanted::text ~ '''[epr]=' then '{set,stroll,walk}'
    -- The planner cannot estimate the beginnings of words, and estimates rare words as far more frequent than they are.
    when f.wanted::text ~ '''[^''=0-9][^''=][^'']*'':\*' then '{stroll,set,walk}'
    when f.wanted::text like '%|%' and p_expected < p_rows / 10 then '{latest,set,walk}'
    when p_expected * p_walk >= p_wanted * p_rows then '{stroll,set,walk}'
    when p_expected > 500 then '{latest,set,walk}'
    else '{set,stroll,walk}' end;
end
$$;
revoke all on function leadpipe.search_ways(
  leadpipe.conversation_search, boolean, bigint, double precision, double precision, integer, integer, integer) from public, anon, authenticated;
