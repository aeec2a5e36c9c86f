-- Returns how many conversations match: an exact count up to p_exact if that is quick, otherwise an estimate near
-- p_expected. find_conversations finished with strategy p_way and found p_found rows, up to one more than the page. If
-- it read all matching rows, p_total is their count.
create or replace function leadpipe.search_total(
  f leadpipe.conversation_search, p_way text, p_found integer, p_total bigint, p_is_page_full boolean, p_expected double precision,
  p_rows double precision, p_walk integer, p_exact integer, p_from text, out total bigint, out is_estimate boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  total := p_total;
  if p_way = 'latest' then
    -- The planner overestimates how often several words occur together. The latest rows may contain more matches than
    -- others.
    p_expected := greatest(p_total, case when f.wanted::text like '%|%' and num_nonnulls(f.since, f.until) = 0
      then least(p_expected, 20 * p_total) else p_expected end);
    total := null;
  elsif p_way = 'stroll' and f.wanted is not null and num_nonnulls(f.since, f.until) = 0 then
    -- At least the proportion that was found among the rows that were read.
    p_expected := greatest(p_expected, p_rows * p_found / p_walk);
  end if;
  if f.after_id is null and not p_is_page_full then
    total := p_found;
  end if;
  if total is null and (p_rows <= 10 * p_exact or p_expected <= p_exact and p_way = 'walk') then
    execute 'select count(*) from (select from ' || p_from || ' limit $2) counted' into total using f, p_exact + 1;
    if total > p_exact then
      total := null;
      p_expected := greatest(p_expected, p_exact + 1);
    end if;
  end if;
  is_estimate := total is null;
  total := coalesce(total, round(p_expected)::bigint);
end
$$;
revoke all on function leadpipe.search_total(
  leadpipe.conversation_search, text, integer, bigint, boolean, double precision, double precision, integer, integer, text)
  from public, anon, authenticated;
