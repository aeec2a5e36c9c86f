-- Indexes the words of at most about `most` changed conversations (default and maximum 1,000), and returns how many are
-- `left`.
create or replace function public.index_words(p jsonb default '{}') returns jsonb
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('left', leadpipe.index_conversations(least(coalesce((p ->> 'most')::integer, 1000), 1000), 1000))
$$;
revoke all on function public.index_words(jsonb) from public, anon, authenticated;
grant execute on function public.index_words(jsonb) to leadpipe_worker, service_role;
