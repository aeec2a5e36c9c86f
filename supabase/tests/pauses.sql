-- Unknown outcomes, pauses and probes, leases given back, the time for tries.
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
-- So many new events, each with a delivery to Slack; those of before are gone.
create function pg_temp.fresh(p_count integer, p_channel text default 'slack', p_recipient text default 'default') returns void language plpgsql as $$
begin
  delete from public.lead_events; delete from public.notification_channels; delete from step;
  perform public.emit_lead_event('lead.created', '30000000-0000-4000-8000-000000000001') from generate_series(1, p_count);
  perform pg_temp.claim(jsonb_build_array(jsonb_build_object('channel', p_channel, 'recipient', p_recipient, 'limit', 0)));
end
$$;
create function pg_temp.size(p_claim jsonb) returns integer language sql as $$ select jsonb_array_length(p_claim -> 'deliveries') $$;
-- A claim that begins what it gets and records one outcome for all of it.
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

-- Unknown: sent again, and the line says so
select pg_temp.fresh(1);
insert into step values ('c', pg_temp.claim(:'slack'));
select is(r #> '{deliveries,0,possibleRepeat}', null, 'a first try is no repeat') from step where name = 'c';
select pg_temp.begin_all(r) from step where name = 'c';
update public.notification_logs set lease_until = now() - interval '1 second';
select pg_temp.claim('[]', '{"unknownOutcome": "resend"}');
select is((status, outcome_class, next_attempt_at is not null)::text, '(failed,unknown,t)', 'resend: what its worker did not survive is due again') from public.notification_logs;
update public.notification_logs set next_attempt_at = now();
insert into step values ('c2', pg_temp.claim(:'slack'));
select is(r #> '{deliveries,0,possibleRepeat}', 'true', 'and marked as a possible repeat') from step where name = 'c2';
select pg_temp.begin_all(r), pg_temp.record_all(r, '{"class": "retry", "status": "failed", "burned": true, "retryInSeconds": 0}') from step where name = 'c2';
select is(pg_temp.claim(:'slack') #> '{deliveries,0,possibleRepeat}', 'true', 'so it stays, whatever the last try came to');

-- Unknown: parked
select pg_temp.fresh(1);
insert into step values ('c', pg_temp.claim(:'slack'));
select pg_temp.begin_all(r) from step where name = 'c';
update public.notification_logs set lease_until = now() - interval '1 second';
select pg_temp.claim('[]', '{"unknownOutcome": "park"}');
select is((status, outcome_class, next_attempt_at, retry_count)::text, '(failed,unknown,,1)', 'park: it is given up') from public.notification_logs;
select is(error_message, 'Whether this arrived is unknown; it is parked: `leadpipe delivery retry ' || id || '` sends it again', 'and says how it goes on') from public.notification_logs;
select is((processed, last_error like 'slack: Whether this arrived is unknown%')::text, '(t,t)', 'its event is closed') from public.lead_events where event_type = 'lead.created';
select is((select count(*) from public.lead_events where event_type = 'notification.failed' and processed), 1::bigint, 'the end of the delivery is an event');
select is((select count(*) from public.conversation_timeline where title = 'Notification parked: slack'), 1::bigint, 'and stands in the timeline');
select pg_temp.record_all(r, :'sent') from step where name = 'c';
select is((status, retry_count)::text, '(sent,1)', 'the late word of its worker still counts') from public.notification_logs;
select pg_temp.fresh(1, 'email', 'a@b.c');
select pg_temp.begin_all(pg_temp.claim('[{"channel": "email", "recipient": "a@b.c"}]'));
update public.notification_logs set lease_until = now() - interval '1 second';
select pg_temp.claim('[]', '{"unknownOutcome": "park"}');
select is((outcome_class, next_attempt_at is not null)::text, '(unknown,t)', 'mail is sent again all the same') from public.notification_logs;

-- Unknown: within its time, and after it
select pg_temp.fresh(1);
select pg_temp.begin_all(pg_temp.claim(:'slack'));
update public.notification_logs set lease_until = now() + interval '7 seconds';
select cmp_ok((pg_temp.claim(:'slack') ->> 'nextDueAt')::timestamptz, '<', now() + interval '8 seconds', 'a claim says when the first lease runs out');
update public.notification_logs set lease_until = now() - interval '1 second';
select cmp_ok((pg_temp.claim(:'slack') ->> 'nextDueAt')::timestamptz, '<', now() + interval '5 seconds', 'then it is sent again within seconds');
update public.notification_logs set next_attempt_at = now();
select pg_temp.begin_all(pg_temp.claim(:'slack'));
update public.lead_events set created_at = now() - interval '73 hours' where event_type = 'lead.created';
insert into public.notification_channels (channel, paused_seconds) values ('slack', 7200);
update public.notification_logs set lease_until = now() - interval '1 second';
select pg_temp.claim('[]');
select is((outcome_class, next_attempt_at is not null)::text, '(unknown,t)', 'after 72 hours, two of them paused, it is sent again') from public.notification_logs;
update public.notification_logs set next_attempt_at = now();
select pg_temp.begin_all(pg_temp.claim(:'slack'));
update public.notification_logs set lease_until = now() - interval '1 second', paused_before = 7200;
select pg_temp.claim('[]');
select is((status, outcome_class, next_attempt_at)::text, '(failed,unknown,)', 'after 72 hours it is given up') from public.notification_logs;
select is((select count(*) from public.conversation_timeline where title = 'Notification failed via slack'), 1::bigint, 'which stands in the timeline');

-- One pace for all workers
select pg_temp.fresh(4);
insert into step values ('c', pg_temp.claim(:'slack')), ('b1', null), ('b2', null);
update step set r = public.begin_deliveries(jsonb_build_object('paces', '{"slack": 60000}'::jsonb, 'deliveries', (select jsonb_path_query_array(r, '$.deliveries[0 to 2]') from step where name = 'c'))) where name = 'b1';
select is((jsonb_array_length(r -> 'begun'), jsonb_array_length(r -> 'early'), jsonb_array_length(r -> 'paused'), jsonb_array_length(r -> 'lost'))::text, '(1,2,0,0)', 'of three that are asked for one begins') from step where name = 'b1';
select is(r #> '{begun,0,id}', (select r #> '{deliveries,0,id}' from step where name = 'c'), 'the oldest') from step where name = 'b1';
update step set r = public.begin_deliveries(jsonb_build_object('paces', '{"slack": 60000}'::jsonb, 'deliveries', (select jsonb_path_query_array(r, '$.deliveries[3]') from step where name = 'c'))) where name = 'b2';
select is((jsonb_array_length(r -> 'begun'), jsonb_array_length(r -> 'early'))::text, '(0,1)', 'another worker''s waits') from step where name = 'b2';
select results_eq($$ select distinct round(extract(epoch from due_at - now()) / 10) from public.notification_logs where status = 'pending' and lease_until is null order by 1 $$,
  $$ values (6::numeric), (12) $$, 'each is due when its turn comes');
select is(count(*) filter (where retry_count > 0), 0::bigint, 'and it has cost none of them a try') from public.notification_logs;
select is(public.begin_deliveries(jsonb_build_object('deliveries', '[]'::jsonb, 'paces', '{"telegram": 1000}'::jsonb)) -> 'early', '[]', 'a pace without a delivery is no turn');
select is(count(*), 0::bigint, 'and leaves nothing behind') from public.notification_channels where channel = 'telegram';
update public.notification_channels set send_budget = jsonb_build_object('nextAt', now() + interval '1 day') where channel = 'slack';
update public.notification_logs set next_attempt_at = now() where status = 'pending';
select public.begin_deliveries(pg_temp.claim(:'slack') || '{"paces": {"slack": 1000}}');
select cmp_ok(max(due_at), '<', now() + interval '10 seconds', 'a turn that is too far ahead is brought nearer') from public.notification_logs where status = 'pending';

-- A late word sets the count right
select pg_temp.fresh(1);
insert into step values ('c', pg_temp.claim(:'slack'));
select pg_temp.begin_all(r) from step where name = 'c';
update public.notification_logs set lease_until = now() - interval '1 second';
select pg_temp.claim('[]');
select is(retry_count, 1, 'a lapse uses up a try') from public.notification_logs;
select pg_temp.record_all(r, '{"class": "throttled", "status": "failed", "burned": false, "retryInSeconds": 60}') from step where name = 'c';
select is((retry_count, outcome_class)::text, '(0,throttled)', 'which a late word gives back where it cost none') from public.notification_logs;

-- Throttled
select pg_temp.fresh(3);
insert into step values ('one', pg_temp.claim('[{"channel": "slack", "limit": 1}]')), ('two', pg_temp.claim('[{"channel": "slack", "limit": 1}]'));
select pg_temp.begin_all(r), pg_temp.record_all(r, '{"class": "throttled", "status": "failed", "retryInSeconds": 60, "reason": "HTTP 429"}') from step where name = 'one';
insert into step select 'b', pg_temp.begin_all(r) from step where name = 'two';
select is((r -> 'begun', jsonb_array_length(r -> 'paused'), r -> 'lost')::text, '([],1,[])', 'what was claimed before the pause does not begin') from step where name = 'b';
select is((status, leased_by, retry_count)::text, '(pending,,0)', 'and goes back') from public.notification_logs d, step where name = 'two' and d.id = (r #>> '{deliveries,0,id}')::uuid;
select is((pause_class, fail_streak, paused_until > now() + interval '59 seconds')::text, '(throttled,0,t)', 'the pause is as long as was asked') from slack;
select leadpipe.update_fingerprints('{"slack": "a"}'), leadpipe.update_fingerprints('{"slack": "b"}');
select is(pg_temp.size(pg_temp.claim(:'slack')), 0, 'new settings do not end it');
update public.notification_channels set paused_since = now() - interval '61 seconds', paused_until = now() - interval '1 second';
update public.notification_logs set next_attempt_at = now() where status = 'failed';
select is(pg_temp.size(pg_temp.claim(:'slack')), 3, 'when it is over everything goes');

-- Config: a pause, then one probe
select pg_temp.fresh(4);
select is(pg_temp.round('[{"channel": "slack", "limit": 1}]', :'config'), 1, 'one finds out');
select is((pause_class, fail_streak, pause_reason)::text, '(config,1,no_service)', 'the channel is paused') from slack;
select is(pg_temp.size(pg_temp.claim(:'slack')), 0, 'nothing is claimed');
update public.notification_channels set paused_since = now() - interval '301 seconds', paused_until = now() - interval '1 second';
insert into step values ('probe', pg_temp.claim(:'slack'));
select is(pg_temp.size(r), 1, 'then one delivery is') from step where name = 'probe';
select is(n.probe::text, r #>> '{deliveries,0,id}', 'the probe') from slack n, step where name = 'probe';
insert into step values ('none', pg_temp.claim(:'slack'));
select is(pg_temp.size(r), 0, 'and no other beside it') from step where name = 'none';
select cmp_ok((r ->> 'nextDueAt')::timestamptz, '>', clock_timestamp() + interval '20 seconds', 'nor is it asked for before its lease ends') from step where name = 'none';
select pg_temp.begin_all(r), pg_temp.record_all(r, :'config') from step where name = 'probe';
select is((fail_streak, round(paused_seconds))::text, '(2,300)', 'it comes back as before: paused again, and the first pause is remembered') from slack;
update public.notification_channels set paused_since = now() - interval '301 seconds', paused_until = now() - interval '1 second';
select is(pg_temp.round(:'slack', '{"class": "retry", "status": "failed", "burned": true, "retryInSeconds": 0}'), 1, 'the next probe comes to something else');
select is((fail_streak, probe)::text, '(0,)', 'the channel is open') from slack;
update public.notification_logs set next_attempt_at = now() where status = 'failed';
insert into step values ('all', pg_temp.claim(:'slack'));
select is(pg_temp.size(r), 4, 'for all') from step where name = 'all';

-- Paused time does not count
select cmp_ok((r #>> '{deliveries,0,retryFrom}')::timestamptz, '>', now() + interval '590 seconds', 'the time for tries is moved on by both pauses') from step where name = 'all';
select public.emit_lead_event('lead.created', '30000000-0000-4000-8000-000000000001');
update public.notification_logs set lease_until = now() + interval '1 hour';
select is(pg_temp.claim(:'slack') #> '{deliveries,0,retryFrom}', null, 'but for what came afterwards');

-- One probe for a channel of many recipients, and one for each of twenty claims in turn
select pg_temp.fresh(3, 'email', 'a@b.c');
insert into public.notification_logs (lead_event_id, channel, recipient) select id, 'email', 'd@e.f' from public.lead_events;
insert into public.notification_channels (channel, fail_streak, pause_class, paused_until) values ('email', 1, 'config', now() - interval '1 second');
select is(pg_temp.size(pg_temp.claim('[{"channel": "email", "recipient": "a@b.c"}, {"channel": "email", "recipient": "d@e.f"}, {"channel": "email", "recipient": "d@e.f"}]')), 1, 'recipients share the probe');
select is((select count(*) from generate_series(1, 20) where pg_temp.size(pg_temp.claim('[{"channel": "email", "recipient": "a@b.c"}]')) > 0), 0::bigint, 'twenty claims find it taken');
select is(public.release_deliveries('{"worker": "h:1"}') -> 'released', '1', 'a probe can be given back');
select is(pg_temp.size(pg_temp.claim('[{"channel": "email", "recipient": "a@b.c"}]')), 1, 'and chosen anew');

-- New settings
select pg_temp.fresh(2);
select pg_temp.claim('[]', '{"fingerprints": {"slack": "a"}}');
select is(settings_fingerprint, 'a', 'the fingerprint is kept') from slack;
select pg_temp.round('[{"channel": "slack", "limit": 1}]', :'config');
select is(pg_temp.size(pg_temp.claim(:'slack', '{"fingerprints": {"slack": "a"}}')), 0, 'the same settings change nothing');
insert into step values ('changed', pg_temp.claim(:'slack', '{"fingerprints": {"slack": "b"}}'));
select is(pg_temp.size(r), 2, 'others end the pause, also for what waited for its end') from step where name = 'changed';
select is((paused_until, fail_streak, settings_fingerprint)::text, '(,0,b)', 'nothing is left of it') from slack;

-- Given back
select pg_temp.fresh(4);
insert into step values ('c', pg_temp.claim('[{"channel": "slack", "limit": 3}]')), ('d', pg_temp.claim(:'slack', '{"worker": "h:2"}'));
select pg_temp.begin_all(jsonb_build_object('deliveries', jsonb_build_array(r #> '{deliveries,0}'))) from step where name = 'c';
select is(public.release_deliveries(jsonb_build_object('worker', 'h:1', 'ids', jsonb_build_array(r #> '{deliveries,1,id}', r #> '{deliveries,0,id}'))) -> 'released', '1', 'ids are given back, but none that is being sent') from step where name = 'c';
select is(public.release_deliveries('{"worker": "h:1"}') -> 'released', '1', 'then the rest');
select is((count(*) filter (where leased_by = 'h:2'), count(*) filter (where status = 'sending'), max(retry_count))::text, '(1,1,0)', 'nobody else''s, and no try is used up') from public.notification_logs;
select is(public.release_deliveries('{"worker": "h:9", "host": "h", "alive": ["h:1", "h:2"]}') -> 'released', '0', 'who is alive keeps his');
select is(public.release_deliveries('{"worker": "h:9", "host": "other", "alive": []}') -> 'released', '0', 'and who is on another host');
select is(public.release_deliveries('{"worker": "h:9", "host": "h", "alive": ["h:1"]}') -> 'released', '1', 'who is dead does not');
select is((pg_temp.begin_all(r) #> '{lost}') = jsonb_build_array(r #> '{deliveries,0,id}'), true, 'and could not begin it any more') from step where name = 'd';

-- The event says what its deliveries say
select pg_temp.fresh(1);
select pg_temp.claim('[{"channel": "slack", "recipient": "x"}, {"channel": "slack", "recipient": "y"}]', '{"isComplete": true}');
select is(last_error, 'slack: This recipient is not configured; the delivery waits until it is.', 'the event says that a recipient is not configured') from public.lead_events where event_type = 'lead.created';
select pg_temp.claim('[{"channel": "slack", "recipient": "new", "limit": 0}]', '{"isComplete": true}');
select is((d.status, d.recipient, d.error_message, e.last_error)::text, '(pending,new,,)', 'and no longer when it has moved') from public.lead_events e join public.notification_logs d on d.lead_event_id = e.id;
select * from finish();
rollback;
