-- Counts a request before its handler is called, in all limits that apply to it. `limits` are those of the client's
-- class, {rate, key, count, seconds} each, or absent without a limit. On admin routes, `secrets` are the hashes of the
-- presented keys, and `guesses` the limits of refused keys: a key that was accepted before counts by itself instead of
-- by its client and is no guess; any other counts as a guess, unless the request is refused. Returns {known, request,
-- guess}: whether the key was accepted before, and the results of `leadpipe.admit_rates`.
create or replace function public.admit_request(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_known text;
  v_request jsonb;
  v_guess jsonb;
begin
  if jsonb_array_length(p -> 'secrets') > 0 then
    select key into v_known from leadpipe.rate_counts
    where rate = 'accepted' and key in (select jsonb_array_elements_text(p -> 'secrets')) and ends > leadpipe.unix_milliseconds()
    order by key limit 1;
  end if;
  if jsonb_array_length(p -> 'limits') > 0 then
    v_request := leadpipe.admit_rates(case when v_known is null then p -> 'limits'
      else jsonb_build_array(p #> '{limits,0}' || jsonb_build_object('key', v_known)) end);
  end if;
  if v_known is null and jsonb_array_length(p -> 'guesses') > 0 and coalesce((v_request ->> 'allowed')::boolean, true) then
    v_guess := leadpipe.admit_rates(p -> 'guesses');
  end if;
  return jsonb_build_object('known', v_known is not null, 'request', v_request, 'guess', v_guess);
end
$$;
revoke all on function public.admit_request(jsonb) from public, anon, authenticated;
grant execute on function public.admit_request(jsonb) to leadpipe_intake, leadpipe_admin, service_role;
