-- Indexes the words of at most about `most` changed conversations (default and maximum 1,000), and returns how many are
-- `left`. If none is left, looks for some known words that no longer occur.
create or replace function public.index_words(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_left bigint := leadpipe.index_conversations(least(coalesce((p ->> 'most')::integer, 1000), 1000), 1000);
begin
  if v_left = 0 then
    perform leadpipe.sweep_words(500);
  end if;
  return jsonb_build_object('left', v_left);
end
$$;
revoke all on function public.index_words(jsonb) from public, anon, authenticated;
grant execute on function public.index_words(jsonb) to leadpipe_worker, service_role;
