-- Corrects the counts of a request after its reply. `request` and `guess` are {held, half}: admissions to give back.
-- `guesses` are limits in which one more guess counts: a key that was accepted before is refused now. `accepted` and
-- `refused` are hashes of keys that were accepted, or are no longer. An accepted key is remembered for a day, if its
-- bucket has room. Returns {request}: the state of the request's limit, null if nothing of it was given back.
create or replace function public.settle_request(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_request jsonb;
  v_key text;
  v_row leadpipe.rate_counts;
begin
  if p ? 'request' then
    v_request := leadpipe.give_back_rates(p #> '{request,held}', (p #>> '{request,half}')::boolean);
  end if;
  if p ? 'guess' then
    perform leadpipe.give_back_rates(p #> '{guess,held}', (p #>> '{guess,half}')::boolean);
  end if;
  if p ? 'guesses' then
    perform leadpipe.admit_rates(p -> 'guesses');
  end if;
  for v_key in select distinct jsonb_array_elements_text(p -> 'accepted') order by 1 loop
    v_row := leadpipe.hold_rate('accepted', v_key);
    update leadpipe.rate_counts set ends = leadpipe.unix_milliseconds() + 86400000 where rate = 'accepted' and key = v_row.key and key = v_key;
  end loop;
  delete from leadpipe.rate_counts where rate = 'accepted' and key in (select jsonb_array_elements_text(p -> 'refused'));
  return jsonb_build_object('request', v_request);
end
$$;
revoke all on function public.settle_request(jsonb) from public, anon, authenticated;
grant execute on function public.settle_request(jsonb) to leadpipe_intake, leadpipe_admin, service_role;
