-- The counts of RATE_LIMIT_STORE=postgres. Time passes by moving the stored times into the past.
begin;
create extension if not exists pgtap with schema public;
set local client_min_messages = warning;
select plan(42);
delete from leadpipe.rate_counts where true;

create function pg_temp.limits(p_key text, p_count integer, p_seconds integer default 60) returns jsonb language sql as
  $$ select jsonb_build_array(jsonb_build_object('rate', 'lead', 'key', p_key, 'count', p_count, 'seconds', p_seconds)) $$;
create function pg_temp.admit(p_key text, p_count integer, p_seconds integer default 60) returns jsonb language sql as
  $$ select public.admit_request(jsonb_build_object('limits', pg_temp.limits(p_key, p_count, p_seconds))) -> 'request' $$;
create function pg_temp.give_back(p_admitted jsonb, p_half boolean) returns jsonb language sql as
  $$ select public.settle_request(jsonb_build_object('request', jsonb_build_object('held', p_admitted -> 'held', 'half', p_half))) -> 'request' $$;
create function pg_temp.pass(p_milliseconds bigint) returns void language sql as
  $$ update leadpipe.rate_counts set times = array(select t - p_milliseconds from unnest(times) t order by 1), half = half - p_milliseconds,
       ends = ends - p_milliseconds where true $$;
-- How many of p_tries requests are admitted.
create function pg_temp.admitted(p_key text, p_count integer, p_seconds integer, p_tries integer) returns bigint language plpgsql as $$
declare
  v_count bigint := 0;
begin
  for i in 1..p_tries loop
    v_count := v_count + (pg_temp.admit(p_key, p_count, p_seconds) ->> 'allowed')::boolean::integer;
  end loop;
  return v_count;
end
$$;
create temp table step (name text primary key, r jsonb);

-- Admissions and refusals
select is(pg_temp.admit('a', 2) - 'held', '{"allowed": true, "count": 2, "seconds": 60, "remaining": 1, "resetsIn": 60000}', 'the first request');
select pg_temp.pass(10000);
select is((pg_temp.admit('a', 2) ->> 'remaining')::integer, 0, 'the second request');
insert into step values ('refused', pg_temp.admit('a', 2));
select is(r ->> 'allowed', 'false', 'the third request is refused') from step where name = 'refused';
select ok((r ->> 'resetsIn')::integer between 49000 and 50000, 'until the first request expires') from step where name = 'refused';
select is((select counts from leadpipe.rate_counts where key = 'a'), '{1,1}', 'a refusal is not counted');
select pg_temp.pass((r ->> 'resetsIn')::integer) from step where name = 'refused';
select is(pg_temp.admitted('a', 2, 60, 3), 1::bigint, 'one request is admitted after the wait');
select is(pg_temp.admitted('b', 2, 60, 3), 2::bigint, 'another client is not affected');
select pg_temp.pass(60000);
select is(pg_temp.admitted('a', 2, 60, 3), 2::bigint, 'all of the limit is available after the whole period');

-- A limit that was lowered
select is(pg_temp.admitted('lower', 10, 60, 10), 10::bigint, 'ten requests');
update leadpipe.rate_counts set times = array(select ends - 60000 - 1000 * (10 - i) from generate_series(1, 10) i), counts = '{1,1,1,1,1,1,1,1,1,1}' where key = 'lower';
insert into step values ('lower', pg_temp.admit('lower', 3));
select pg_temp.pass((r ->> 'resetsIn')::integer) from step where name = 'lower';
select is(pg_temp.admitted('lower', 3, 60, 2), 1::bigint, 'a client that waits is admitted under a lower limit, too');

-- Many requests: bounded rows, never more than the limit
select is(pg_temp.admitted('many', 1000, 60, 1100), 1000::bigint, 'a thousand requests');
update leadpipe.rate_counts set times = array(select ends - 60000 - 468 * (128 - i) from generate_series(0, 127) i),
  counts = array_fill(8, array[127]) || 9 where key = 'many';
select ok(pg_temp.admitted('many', 1000, 60, 300) <= 16, 'only what has expired is admitted again');
select ok(cardinality(times) <= 130, 'a row has at most 130 times') from leadpipe.rate_counts where key = 'many';

-- Networks
create function pg_temp.network(p_client text) returns jsonb language sql as $$ select public.admit_request(jsonb_build_object('limits', jsonb_build_array(
  jsonb_build_object('rate', 'lead', 'key', p_client, 'count', 2, 'seconds', 60),
  jsonb_build_object('rate', 'lead/48', 'key', '2001:db8::/48', 'count', 5, 'seconds', 60)))) -> 'request' $$;
select is((select count(*) from generate_series(1, 9) i where (pg_temp.network('2001:db8:0:' || i || '::/64') ->> 'allowed')::boolean), 5::bigint, 'a network has a limit of its own');
select is(pg_temp.network('2001:db8:0:1::/64') -> 'count', '5', 'the limit that refuses is reported');
select is((select sum(n) from leadpipe.rate_counts, unnest(counts) n where rate = 'lead' and key like '2001:%'), 5::bigint, 'a request that the network refuses is not counted for the client');

-- Give back
insert into step values ('whole', pg_temp.admit('g', 2));
select is(pg_temp.give_back(r, false) -> 'remaining', '2', 'a whole admission is given back') from step where name = 'whole';
select is(pg_temp.give_back(r, false) -> 'remaining', '2', 'only once') from step where name = 'whole';
insert into step values ('half', pg_temp.admit('g', 2));
select is(pg_temp.give_back(r, true) -> 'remaining', '2', 'one half counts as nothing yet') from step where name = 'half';
insert into step values ('half 2', pg_temp.admit('g', 2));
select is(pg_temp.give_back(r, true) -> 'remaining', '1', 'two halves count as one request') from step where name = 'half 2';
insert into step values ('half 3', pg_temp.admit('g', 2));
select is(pg_temp.give_back(r, true) -> 'remaining', '1', 'a third half counts as nothing yet') from step where name = 'half 3';
select pg_temp.pass(60000);
insert into step values ('half 4', pg_temp.admit('g', 2));
select is(pg_temp.give_back(r, true) -> 'remaining', '2', 'halves expire') from step where name = 'half 4';
select is(pg_temp.give_back((select r from step where name = 'whole'), false) -> 'remaining', '2', 'an expired admission cannot be given back');
select is(public.settle_request('{"request": {"held": [{"rate": "lead", "key": "nobody", "count": 1, "seconds": 1, "at": 1}], "half": false}}'), '{"request": null}',
          'nothing is given back to a client without requests');

-- A clock that was set back admits no more, and blocks nobody for longer than the period
select is(pg_temp.admitted('clock', 2, 60, 2), 2::bigint, 'two requests');
select pg_temp.pass(-3600000);
insert into step values ('clock', pg_temp.admit('clock', 2));
select is(r -> 'allowed', 'false', 'an hour back: refused') from step where name = 'clock';
select ok((r ->> 'resetsIn')::integer <= 60000, 'for no more than a period') from step where name = 'clock';
select pg_temp.pass((r ->> 'resetsIn')::integer) from step where name = 'clock';
select is(pg_temp.admitted('clock', 2, 60, 3), 2::bigint, 'admitted after the wait');

-- A full bucket: its new clients share one row; nobody's history is lost
delete from leadpipe.rate_counts where true;
create temp table here as select i, '10.9.' || i as key from generate_series(1, 200000) i where leadpipe.rate_bucket('lead', '10.9.' || i) = 7 limit 90;
select is((select count(*) from here), 90::bigint, 'ninety keys of a bucket');
select is((select count(*) from (select key from here order by i limit 64) first where pg_temp.admitted(key, 2, 60, 1) = 1), 64::bigint, 'the bucket holds 64 clients');
select is((select sum(pg_temp.admitted(key, 2, 60, 1)) from (select key from here order by i offset 64) others), 2::numeric, 'the others share the limit of one');
select is((select count(*) from leadpipe.rate_counts where bucket = 7), 65::bigint, 'in one row');
select is(pg_temp.admitted((select key from here order by i limit 1), 2, 60, 3), 1::bigint, 'a client with its own row is unaffected');
update leadpipe.rate_counts set ends = 0 where key = (select key from here order by i offset 5 limit 1);
select is(pg_temp.admitted((select key from here order by i offset 70 limit 1), 2, 60, 3), 0::bigint, 'a client that gets a row of its own keeps the shared history');
select is(pg_temp.admitted((select key from here order by i offset 70 limit 1), 2, 60, 3), 0::bigint, 'at the second request, too');
select pg_temp.pass(60000);
select is((select count(*) from (select key from here order by i limit 64) again where pg_temp.admitted(key, 2, 60, 3) = 2), 64::bigint, 'expired rows make room');
select pg_temp.pass(60001);
select public.prune('{}');
select is((select count(*) from leadpipe.rate_counts), 0::bigint, 'prune deletes expired rows');

-- Keys of admin routes
create function pg_temp.admin(p_secrets text) returns jsonb language sql as $$ select public.admit_request(jsonb_build_object('secrets', p_secrets::jsonb,
  'limits', jsonb_build_array(jsonb_build_object('rate', 'admin', 'key', '192.0.2.1', 'count', 30, 'seconds', 60)),
  'guesses', jsonb_build_array(jsonb_build_object('rate', 'refused-keys', 'key', '192.0.2.1', 'count', 20, 'seconds', 60)))) $$;
select is((select count(*) from generate_series(1, 25) i where (pg_temp.admin(format('["%s"]', i)) #>> '{guess,allowed}')::boolean), 20::bigint, 'twenty guesses');
select public.settle_request('{"accepted": ["aa", "bb"]}');
select is(pg_temp.admin('["aa"]') #- '{request,held}' #- '{request,resetsIn}', '{"known": true, "guess": null, "request": {"allowed": true, "count": 30, "seconds": 60, "remaining": 29}}',
          'an accepted key has a count of its own and is no guess');
select is(pg_temp.admin('["cc", "bb"]') -> 'known', 'true', 'one of several sessions is known');
select public.settle_request('{"refused": ["bb"], "guesses": [{"rate": "refused-keys", "key": "192.0.2.9", "count": 20, "seconds": 60}]}');
select is(pg_temp.admin('["bb"]') -> 'known', 'false', 'a refused key is no longer known');
select is((select counts from leadpipe.rate_counts where rate = 'refused-keys' and key = '192.0.2.9'), '{1}', 'and counts as a guess');
select * from finish();
rollback;
