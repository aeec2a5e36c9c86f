-- Unknown outcomes, pauses and probes, released leases, the time limit for attempts.
begin;
create extension if not exists pgtap with schema public;
set local client_min_messages = warning;
select plan(61);
delete from public.lead_events;
delete from public.notification_channels;
delete from public.notification_attempts;

create temp table step (name text primary key, r jsonb);
create function pg_temp.claim(p_channels jsonb, p_more jsonb default '{}') returns jsonb language sql as
  $$ select public.claim_deliveries(jsonb_build_object('worker', 'h:1', 'channels', p_channels) || p_more) $$;
create function pg_temp.begin_all(p_claim jsonb) returns jsonb language sql as
  $$ select public.begin_deliveries(jsonb_build_object('deliveries', p_claim -> 'deliveries')) $$;
create function pg_temp.record_all(p_claim jsonb, p_outcome jsonb) returns jsonb language sql as
  $$ select public.record_outcomes(jsonb_build_object('outcomes',
       (select jsonb_agg(jsonb_build_object('id', d -> 'id', 'fence', d -> 'fence') || p_outcome) from jsonb_array_elements(p_claim -> 'deliveries') d))) $$;
-- Replaces all events by p_count new ones, each with a delivery.
create function pg_temp.fresh(p_count integer, p_channel text default 'slack', p_recipient text default 'default') returns void language plpgsql as $$
begin
  delete from public.lead_events; delete from public.notification_channels; delete from step;
  perform public.emit_lead_event('lead.created', '30000000-0000-4000-8000-000000000001') from generate_series(1, p_count);
  perform pg_temp.claim(jsonb_build_array(jsonb_build_object('channel', p_channel, 'recipient', p_recipient, 'limit', 0)));
end
$$;
create function pg_temp.size(p_claim jsonb) returns integer language sql as $$ select jsonb_array_length(p_claim -> 'deliveries') $$;
-- Claims and begins deliveries, and records the same outcome for all. Returns their number.
create function pg_temp.round(p_channels jsonb, p_outcome jsonb) returns integer language plpgsql as $$
declare
  v_claim jsonb := pg_temp.claim(p_channels);
begin
  perform pg_temp.begin_all(v_claim);
  perform pg_temp.record_all(v_claim, p_outcome);
  return pg_temp.size(v_claim);
end
$$;
insert into public.conversations (id, customer_name) values ('30000000-0000-4000-8000-000000000001', 'Lead');
create temp view slack as select * from public.notification_channels where channel = 'slack';
\set slack '[{"channel": "slack"}]'
\set config '{"class": "config", "status": "failed", "retryInSeconds": 300, "reason": "no_service"}'
\set sent '{"class": "delivered", "status": "sent", "burned": true}'

-- Unknown: sent again and marked as a possible repeat
select pg_temp.fresh(1);
insert into step values ('c', pg_temp.claim(:'slack'));
select is(r #> '{deliveries,0,possibleRepeat}', null, 'a first attempt is not a repeat') from step where name = 'c';
select pg_temp.begin_all(r) from step where name = 'c';
update public.notification_logs set lease_until = now() - interval '1 second';
select pg_temp.claim('[]', '{"unknownOutcome": "resend"}');
select is((status, outcome_class, next_attempt_at is not null)::text, '(failed,unknown,t)', 'resend: a delivery whose worker died is due again') from public.notification_logs;
update public.notification_logs set next_attempt_at = now();
insert into step values ('c2', pg_temp.claim(:'slack'));
select is(r #> '{deliveries,0,possibleRepeat}', 'true', 'a resent delivery is marked as a possible repeat') from step where name = 'c2';
select pg_temp.begin_all(r), pg_temp.record_all(r, '{"class": "retry", "status": "failed", "burned": true, "retryInSeconds": 0}') from step where name = 'c2';
select is(pg_temp.claim(:'slack') #> '{deliveries,0,possibleRepeat}', 'true', 'it stays marked, whatever the last outcome');

-- Unknown: parked
select pg_temp.fresh(1);
insert into step values ('c', pg_temp.claim(:'slack'));
select pg_temp.begin_all(r) from step where name = 'c';
update public.notification_logs set lease_until = now() - interval '1 second';
select pg_temp.claim('[]', '{"unknownOutcome": "park"}');
select is((status, outcome_class, next_attempt_at, retry_count)::text, '(failed,unknown,,1)', 'park: the delivery has no next attempt') from public.notification_logs;
select is(error_message, 'It is unknown whether this arrived; it is parked: `leadpipe delivery retry ' || id || '` sends it again', 'a parked delivery has an error with the command to retry it') from public.notification_logs;
select is((processed, last_error like 'slack: It is unknown whether this arrived%')::text, '(t,t)', 'the event of a parked delivery is closed') from public.lead_events where event_type = 'lead.created';
select is((select count(*) from public.lead_events where event_type = 'notification.failed' and processed), 1::bigint, 'a parked delivery has an event');
select is((select count(*) from public.conversation_timeline where title = 'Notification parked: slack'), 1::bigint, 'a parked delivery has a timeline entry');
select pg_temp.record_all(r, :'sent') from step where name = 'c';
select is((status, retry_count)::text, '(sent,1)', 'a late outcome of the worker still counts') from public.notification_logs;
select pg_temp.fresh(1, 'email', 'a@b.c');
select pg_temp.begin_all(pg_temp.claim('[{"channel": "email", "recipient": "a@b.c"}]'));
update public.notification_logs set lease_until = now() - interval '1 second';
select pg_temp.claim('[]', '{"unknownOutcome": "park"}');
select is((outcome_class, next_attempt_at is not null)::text, '(unknown,t)', 'an email is sent again instead of parked') from public.notification_logs;

-- Unknown: before and after the time limit
select pg_temp.fresh(1);
select pg_temp.begin_all(pg_temp.claim(:'slack'));
update public.notification_logs set lease_until = now() + interval '7 seconds';
select cmp_ok((pg_temp.claim(:'slack') ->> 'nextDueAt')::timestamptz, '<', now() + interval '8 seconds', 'a claim returns when the first lease expires');
update public.notification_logs set lease_until = now() - interval '1 second';
select cmp_ok((pg_temp.claim(:'slack') ->> 'nextDueAt')::timestamptz, '<', now() + interval '5 seconds', 'after the lease, it is sent again within seconds');
update public.notification_logs set next_attempt_at = now();
select pg_temp.begin_all(pg_temp.claim(:'slack'));
update public.lead_events set created_at = now() - interval '73 hours' where event_type = 'lead.created';
insert into public.notification_channels (channel, paused_seconds) values ('slack', 7200);
update public.notification_logs set lease_until = now() - interval '1 second';
select pg_temp.claim('[]');
select is((outcome_class, next_attempt_at is not null)::text, '(unknown,t)', 'after 73 hours, two of them paused, it is sent again') from public.notification_logs;
update public.notification_logs set next_attempt_at = now();
select pg_temp.begin_all(pg_temp.claim(:'slack'));
update public.notification_logs set lease_until = now() - interval '1 second', paused_before = 7200;
select pg_temp.claim('[]');
select is((status, outcome_class, next_attempt_at)::text, '(failed,unknown,)', 'after 73 hours it is given up') from public.notification_logs;
select is((select count(*) from public.conversation_timeline where title = 'Notification failed via slack'), 1::bigint, 'a delivery that is given up has a timeline entry');

-- One pace for all workers
select pg_temp.fresh(4);
insert into step values ('c', pg_temp.claim(:'slack')), ('b1', null), ('b2', null);
update step set r = public.begin_deliveries(jsonb_build_object('paces', '{"slack": 60000}'::jsonb, 'deliveries', (select jsonb_path_query_array(r, '$.deliveries[0 to 2]') from step where name = 'c'))) where name = 'b1';
select is((jsonb_array_length(r -> 'begun'), jsonb_array_length(r -> 'early'), jsonb_array_length(r -> 'paused'), jsonb_array_length(r -> 'lost'))::text, '(1,2,0,0)', 'one of three deliveries begins') from step where name = 'b1';
select is(r #> '{begun,0,id}', (select r #> '{deliveries,0,id}' from step where name = 'c'), 'the oldest delivery begins') from step where name = 'b1';
update step set r = public.begin_deliveries(jsonb_build_object('paces', '{"slack": 60000}'::jsonb, 'deliveries', (select jsonb_path_query_array(r, '$.deliveries[3]') from step where name = 'c'))) where name = 'b2';
select is((jsonb_array_length(r -> 'begun'), jsonb_array_length(r -> 'early'))::text, '(0,1)', 'the delivery of another worker waits') from step where name = 'b2';
select results_eq($$ select distinct round(extract(epoch from due_at - now()) / 10) from public.notification_logs where status = 'pending' and lease_until is null order by 1 $$,
  $$ values (6::numeric), (12) $$, 'each delivery is due at its turn');
select is(count(*) filter (where retry_count > 0), 0::bigint, 'no attempt is used up') from public.notification_logs;
select is(public.begin_deliveries(jsonb_build_object('deliveries', '[]'::jsonb, 'paces', '{"telegram": 1000}'::jsonb)) -> 'early', '[]', 'a pace without deliveries is ignored');
select is(count(*), 0::bigint, 'a pace without deliveries creates no channel') from public.notification_channels where channel = 'telegram';
update public.notification_channels set send_budget = jsonb_build_object('nextAt', now() + interval '1 day') where channel = 'slack';
update public.notification_logs set next_attempt_at = now() where status = 'pending';
select public.begin_deliveries(pg_temp.claim(:'slack') || '{"paces": {"slack": 1000}}');
select cmp_ok(max(due_at), '<', now() + interval '10 seconds', 'a turn too far ahead is moved nearer') from public.notification_logs where status = 'pending';

-- A late outcome corrects the number of attempts
select pg_temp.fresh(1);
insert into step values ('c', pg_temp.claim(:'slack'));
select pg_temp.begin_all(r) from step where name = 'c';
update public.notification_logs set lease_until = now() - interval '1 second';
select pg_temp.claim('[]');
select is(retry_count, 1, 'an expired lease uses up an attempt') from public.notification_logs;
select pg_temp.record_all(r, '{"class": "throttled", "status": "failed", "burned": false, "retryInSeconds": 60}') from step where name = 'c';
select is((retry_count, outcome_class)::text, '(0,throttled)', 'a late outcome that uses up no attempt corrects the number') from public.notification_logs;

-- Throttled
select pg_temp.fresh(3);
insert into step values ('one', pg_temp.claim('[{"channel": "slack", "limit": 1}]')), ('two', pg_temp.claim('[{"channel": "slack", "limit": 1}]'));
select pg_temp.begin_all(r), pg_temp.record_all(r, '{"class": "throttled", "status": "failed", "retryInSeconds": 60, "reason": "HTTP 429"}') from step where name = 'one';
insert into step select 'b', pg_temp.begin_all(r) from step where name = 'two';
select is((r -> 'begun', jsonb_array_length(r -> 'paused'), r -> 'lost')::text, '([],1,[])', 'a delivery that was claimed before the pause does not begin') from step where name = 'b';
select is((status, leased_by, retry_count)::text, '(pending,,0)', 'it is released') from public.notification_logs d, step where name = 'two' and d.id = (r #>> '{deliveries,0,id}')::uuid;
select is((pause_class, fail_streak, paused_until > now() + interval '59 seconds')::text, '(throttled,0,t)', 'the pause has the requested length') from slack;
select leadpipe.update_fingerprints('{"slack": "a"}'), leadpipe.update_fingerprints('{"slack": "b"}');
select is(pg_temp.size(pg_temp.claim(:'slack')), 0, 'new settings do not end a throttled pause');
update public.notification_channels set paused_since = now() - interval '61 seconds', paused_until = now() - interval '1 second';
update public.notification_logs set next_attempt_at = now() where status = 'failed';
select is(pg_temp.size(pg_temp.claim(:'slack')), 3, 'after the pause all deliveries are claimed');

-- Config: a pause, then one probe
select pg_temp.fresh(4);
select is(pg_temp.round('[{"channel": "slack", "limit": 1}]', :'config'), 1, 'one delivery has outcome config');
select is((pause_class, fail_streak, pause_reason)::text, '(config,1,no_service)', 'the channel is paused') from slack;
select is(pg_temp.size(pg_temp.claim(:'slack')), 0, 'nothing is claimed during the pause');
update public.notification_channels set paused_since = now() - interval '301 seconds', paused_until = now() - interval '1 second';
insert into step values ('probe', pg_temp.claim(:'slack'));
select is(pg_temp.size(r), 1, 'after the pause one delivery is claimed') from step where name = 'probe';
select is(n.probe::text, r #>> '{deliveries,0,id}', 'that delivery is the probe') from slack n, step where name = 'probe';
insert into step values ('none', pg_temp.claim(:'slack'));
select is(pg_temp.size(r), 0, 'no other delivery is claimed with the probe') from step where name = 'none';
select cmp_ok((r ->> 'nextDueAt')::timestamptz, '>', clock_timestamp() + interval '20 seconds', 'the next claim is due when the lease of the probe expires') from step where name = 'none';
select pg_temp.begin_all(r), pg_temp.record_all(r, :'config') from step where name = 'probe';
select is((fail_streak, round(paused_seconds))::text, '(2,300)', 'a failed probe pauses the channel again, and the first pause is counted') from slack;
update public.notification_channels set paused_since = now() - interval '301 seconds', paused_until = now() - interval '1 second';
select is(pg_temp.round(:'slack', '{"class": "retry", "status": "failed", "burned": true, "retryInSeconds": 0}'), 1, 'the next probe has another outcome');
select is((fail_streak, probe)::text, '(0,)', 'the channel is open after another outcome') from slack;
update public.notification_logs set next_attempt_at = now() where status = 'failed';
insert into step values ('all', pg_temp.claim(:'slack'));
select is(pg_temp.size(r), 4, 'all deliveries are claimed') from step where name = 'all';

-- Paused time does not count
select cmp_ok((r #>> '{deliveries,0,retryFrom}')::timestamptz, '>', now() + interval '590 seconds', 'both pauses extend the time limit') from step where name = 'all';
select public.emit_lead_event('lead.created', '30000000-0000-4000-8000-000000000001');
update public.notification_logs set lease_until = now() + interval '1 hour';
select is(pg_temp.claim(:'slack') #> '{deliveries,0,retryFrom}', null, 'the pauses do not extend the time limit of later deliveries');

-- One probe for a channel with several recipients, and for twenty claims
select pg_temp.fresh(3, 'email', 'a@b.c');
insert into public.notification_logs (lead_event_id, channel, recipient) select id, 'email', 'd@e.f' from public.lead_events;
insert into public.notification_channels (channel, fail_streak, pause_class, paused_until) values ('email', 1, 'config', now() - interval '1 second');
select is(pg_temp.size(pg_temp.claim('[{"channel": "email", "recipient": "a@b.c"}, {"channel": "email", "recipient": "d@e.f"}, {"channel": "email", "recipient": "d@e.f"}]')), 1, 'all recipients share the probe');
select is((select count(*) from generate_series(1, 20) where pg_temp.size(pg_temp.claim('[{"channel": "email", "recipient": "a@b.c"}]')) > 0), 0::bigint, 'twenty claims get no delivery during the probe');
select is(public.release_deliveries('{"worker": "h:1"}') -> 'released', '1', 'a probe can be released');
select is(pg_temp.size(pg_temp.claim('[{"channel": "email", "recipient": "a@b.c"}]')), 1, 'after that a new probe is chosen');

-- New settings
select pg_temp.fresh(2);
select pg_temp.claim('[]', '{"fingerprints": {"slack": "a"}}');
select is(settings_fingerprint, 'a', 'the fingerprint is stored') from slack;
select pg_temp.round('[{"channel": "slack", "limit": 1}]', :'config');
select is(pg_temp.size(pg_temp.claim(:'slack', '{"fingerprints": {"slack": "a"}}')), 0, 'the same settings do not end the pause');
insert into step values ('changed', pg_temp.claim(:'slack', '{"fingerprints": {"slack": "b"}}'));
select is(pg_temp.size(r), 2, 'new settings end the pause, and waiting deliveries are due') from step where name = 'changed';
select is((paused_until, fail_streak, settings_fingerprint)::text, '(,0,b)', 'the pause is cleared') from slack;

-- Released
select pg_temp.fresh(4);
insert into step values ('c', pg_temp.claim('[{"channel": "slack", "limit": 3}]')), ('d', pg_temp.claim(:'slack', '{"worker": "h:2"}'));
select pg_temp.begin_all(jsonb_build_object('deliveries', jsonb_build_array(r #> '{deliveries,0}'))) from step where name = 'c';
select is(public.release_deliveries(jsonb_build_object('worker', 'h:1', 'ids', jsonb_build_array(r #> '{deliveries,1,id}', r #> '{deliveries,0,id}'))) -> 'released', '1', 'deliveries are released by id, except those being sent') from step where name = 'c';
select is(public.release_deliveries('{"worker": "h:1"}') -> 'released', '1', 'all claimed deliveries of the worker are released');
select is((count(*) filter (where leased_by = 'h:2'), count(*) filter (where status = 'sending'), max(retry_count))::text, '(1,1,0)', 'deliveries of other workers are kept, and no attempt is used up') from public.notification_logs;
select is(public.release_deliveries('{"worker": "h:9", "host": "h", "alive": ["h:1", "h:2"]}') -> 'released', '0', 'a worker that is alive keeps its deliveries');
select is(public.release_deliveries('{"worker": "h:9", "host": "other", "alive": []}') -> 'released', '0', 'a worker on another host keeps its deliveries');
select is(public.release_deliveries('{"worker": "h:9", "host": "h", "alive": ["h:1"]}') -> 'released', '1', 'the deliveries of a dead worker are released');
select is((pg_temp.begin_all(r) #> '{lost}') = jsonb_build_array(r #> '{deliveries,0,id}'), true, 'a worker cannot begin a released delivery') from step where name = 'd';

-- The event has the error of its deliveries
select pg_temp.fresh(1);
select pg_temp.claim('[{"channel": "slack", "recipient": "x"}, {"channel": "slack", "recipient": "y"}]', '{"isComplete": true}');
select is(last_error, 'slack: This recipient is not configured; the delivery waits until it is.', 'the event has the error of a recipient that is not configured') from public.lead_events where event_type = 'lead.created';
select pg_temp.claim('[{"channel": "slack", "recipient": "new", "limit": 0}]', '{"isComplete": true}');
select is((d.status, d.recipient, d.error_message, e.last_error)::text, '(pending,new,,)', 'the error is cleared when the delivery is rerouted') from public.lead_events e join public.notification_logs d on d.lead_event_id = e.id;
select * from finish();
rollback;
