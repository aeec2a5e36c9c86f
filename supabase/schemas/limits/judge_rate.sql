-- Examines the admissions of a row at a time: those that count, how many they are, and when the next request is allowed
-- or, if one is allowed now, when the first admission expires (null without any). A time in the future, after the clock
-- was set back, is replaced by `p_latest`: the admission was before now, so it counts for no longer than from now.
-- PL/pgSQL keeps the plan of the query; an SQL function would make it again in every transaction, which takes longer
-- than the rest of an admission.
create or replace function leadpipe.judge_rate(
  p_row leadpipe.rate_counts, p_count bigint, p_window bigint, p_now bigint, p_latest bigint,
  out times bigint[], out counts integer[], out used bigint, out frees_at bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  select array_agg(at order by at), array_agg(n order by at), coalesce(max(total), 0),
    min(at) filter (where upto > total - p_count) + p_window
  into times, counts, used, frees_at
  from (
    select at, n, sum(n) over (order by at)::bigint as upto, sum(n) over ()::bigint as total
    from (select least(u.at, p_latest) as at, sum(u.n)::integer as n from unnest(p_row.times, p_row.counts) u(at, n)
          where u.at > p_now - p_window group by 1) live) sums;
end
$$;
revoke all on function leadpipe.judge_rate(leadpipe.rate_counts, bigint, bigint, bigint, bigint) from public, anon, authenticated;
