-- Housekeeping keeps the search up to date too: whoever searches after a quiet month does not have to wait for its words.
-- May be run again at any time.

-- Makes the words of at most `most` (1,000) conversations that have changed; how many are `left`.
create or replace function public.index_words(p jsonb default '{}') returns jsonb
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('left', public.index_conversations(least(coalesce((p ->> 'most')::integer, 1000), 1000), 1000))
$$;

do $$ begin perform public.protect_function('public.index_words(jsonb)', 'leadpipe_worker'); end $$;
