-- Events, claims, fences, outcomes, follow-ups, SLA, health.
begin;
create extension if not exists pgtap with schema public;
set local client_min_messages = warning;
select plan(69);
delete from public.lead_events;  -- so that the counts below are exact; rolled back at the end
delete from public.workers;
delete from public.notification_channels;

create temp table step (name text primary key, r jsonb);
create function pg_temp.claim(p_channels jsonb, p_more jsonb default '{}') returns jsonb language sql as
  $$ select public.claim_deliveries(jsonb_build_object('worker', 'w1', 'version', '1', 'leaseSeconds', 30, 'channels', p_channels) || p_more) $$;
create function pg_temp.begin_all(p_claim jsonb) returns jsonb language sql as
  $$ select public.begin_deliveries(jsonb_build_object('worker', 'w1', 'leaseSeconds', 30, 'deliveries', p_claim -> 'deliveries')) $$;
create function pg_temp.record_all(p_claim jsonb, p_outcome jsonb) returns jsonb language sql as
  $$ select public.record_outcomes(jsonb_build_object('worker', 'w1', 'outcomes',
       (select jsonb_agg(jsonb_build_object('id', d -> 'id', 'fence', d -> 'fence') || p_outcome) from jsonb_array_elements(p_claim -> 'deliveries') d))) $$;

insert into public.conversations (id, customer_name) values ('20000000-0000-4000-8000-000000000001', 'Lead');

-- New events
do $$
begin
  perform public.emit_lead_event(t, '20000000-0000-4000-8000-000000000001') from unnest(enum_range(null::public.lead_event_type)) t;
end
$$;
select is((processed, processed_at is null, planned_at is null)::text, '(f,t,t)', event_type || ' is not processed from the start')
from public.lead_events where event_type::text in ('lead.created', 'newsletter.subscribed', 'sla.warning', 'sla.breached') order by event_type;
select is((count(*), bool_and(processed), bool_and(processed_at is not null), bool_and(planned_at is not null))::text, '(15,t,t,t)', 'every other type is processed from the start')
from public.lead_events where event_type::text not in ('lead.created', 'newsletter.subscribed', 'sla.warning', 'sla.breached');
select is(public.emit_lead_event('lead.lost', null, '{}', 'once'), public.emit_lead_event('lead.lost', null, '{"b": 1}', 'once'), 'there is one event per idempotency key');
delete from public.lead_events;

-- Planning
select public.emit_lead_event('lead.created', '20000000-0000-4000-8000-000000000001', '{"n": 1}');
select public.emit_lead_event('newsletter.subscribed', null, '{"n": 2}');
insert into step values ('plan', pg_temp.claim('[{"channel": "slack", "limit": 0}, {"channel": "email", "recipient": "a@b.c", "limit": 0}, {"channel": "email", "recipient": "d@e.f", "limit": 0}]'));
select is(r - 'nextDueAt' - 'nextDueInMs', '{"deliveries": [], "planned": 2, "unrouted": 0}', 'limit 0 plans events and claims nothing') from step where name = 'plan';
select results_eq($$ select e.event_type::text, l.channel::text, l.recipient from public.notification_logs l join public.lead_events e on e.id = l.lead_event_id order by 1, 2, 3 $$,
  $$ values ('lead.created', 'email', 'a@b.c'), ('lead.created', 'email', 'd@e.f'), ('lead.created', 'slack', 'default'), ('newsletter.subscribed', 'slack', 'default') $$,
  'one delivery per event, channel and recipient; a subscription goes to slack only');
select is(pg_temp.claim('[{"channel": "slack", "limit": 0}]') -> 'planned', '0', 'an event is planned once');
select is((select (version, last_seen > now() - interval '1 minute')::text from public.workers where name = 'w1'), '(1,t)', 'a claim is a heartbeat');
select public.emit_lead_event('newsletter.subscribed', null);
select is(pg_temp.claim('[{"channel": "email", "recipient": "a@b.c", "limit": 0}]') - 'deliveries' - 'nextDueAt' - 'nextDueInMs', '{"planned": 0, "unrouted": 1}', 'an event without recipients is unrouted');
select is((select count(*) from public.lead_events where processed and planned_at is not null), 1::bigint, 'an unrouted event is processed');
select public.emit_lead_event('sla.warning', '20000000-0000-4000-8000-000000000001');
select is(pg_temp.claim('[{"channel": "slack", "limit": 0, "events": ["lead.created"]}]') -> 'unrouted', '1', 'an entry gets only the event types that it lists');

-- Claiming
insert into step values ('c1', pg_temp.claim('[{"channel": "slack", "limit": 1}, {"channel": "email", "recipient": "a@b.c"}]'));
select is(jsonb_array_length(r -> 'deliveries'), 2, 'an entry gets at most its limit, and only deliveries to its recipient') from step where name = 'c1';
select is(d - '{id,eventId,eventAt}'::text[], '{"fence": 1, "attempt": 1, "channel": "email", "recipient": "a@b.c", "eventType": "lead.created", "conversationId": "20000000-0000-4000-8000-000000000001", "payload": {"n": 1}}', 'a delivery has all data that a notifier needs')
from step, jsonb_array_elements(r -> 'deliveries') d where name = 'c1' and d ->> 'channel' = 'email';
select is((select count(*) from public.notification_logs where status = 'pending' and leased_by = 'w1' and lease_until > now()), 2::bigint, 'a claimed delivery is pending with a lease');
select is(pg_temp.claim('[{"channel": "email", "recipient": "a@b.c"}]') -> 'deliveries', '[]', 'a leased delivery is not claimed again');
update public.notification_logs set lease_until = now() - interval '1 second' where leased_by = 'w1' and channel = 'email';
insert into step values ('c2', pg_temp.claim('[{"channel": "email", "recipient": "a@b.c"}, {"channel": "email", "recipient": "a@b.c"}]'));
select is((jsonb_array_length(r -> 'deliveries'), r #> '{deliveries,0,fence}', r #> '{deliveries,0,attempt}')::text, '(1,2,1)', 'after the lease it is claimed under a new fence, no attempt is used up, and an entry listed twice claims once') from step where name = 'c2';
insert into public.notification_channels (channel, paused_until, pause_reason) values ('slack', now() + interval '1 hour', 'config');
select is(pg_temp.claim('[{"channel": "slack"}]') -> 'deliveries', '[]', 'nothing of a paused channel is claimed');
select is(pg_temp.claim('[{"channel": "slack"}]') ->> 'nextDueAt', leadpipe.iso8601(now() + interval '1 hour'), 'deliveries of a paused channel are due when the pause ends');
delete from public.notification_channels;

-- Beginning
insert into step select 'b0', public.begin_deliveries(jsonb_build_object('worker', 'w1', 'deliveries', jsonb_agg(d || '{"fence": 1}'))) from step, jsonb_array_elements(r -> 'deliveries') d where name = 'c2';
select is((jsonb_array_length(r -> 'begun'), jsonb_array_length(r -> 'lost'))::text, '(0,1)', 'an old fence does not begin a delivery') from step where name = 'b0';
insert into step select 'b1', pg_temp.begin_all(r) from step where name = 'c2';
select is(b.r, jsonb_build_object('begun', jsonb_build_array(jsonb_build_object('id', c.r #> '{deliveries,0,id}', 'attempt', 1)), 'paused', '[]'::jsonb, 'early', '[]'::jsonb, 'lost', '[]'::jsonb), 'the current fence begins the delivery') from step b, step c where b.name = 'b1' and c.name = 'c2';
select is((status, lease_until > now())::text, '(sending,t)', 'the delivery is sending') from public.notification_logs where recipient = 'a@b.c';
select is(public.show_delivery(jsonb_build_object('id', d.id)) -> 'attempts',
  jsonb_build_array(jsonb_build_object('attempt', 1, 'fence', 2, 'startedAt', leadpipe.iso8601(d.begun_at), 'worker', 'w1', 'finishedAt', null,
    'class', null, 'statusCode', null, 'providerCode', null, 'retryAfterSeconds', null, 'excerpt', null)), 'the attempt in progress is shown')
from public.notification_logs d where recipient = 'a@b.c' and begun_at is not null;
select is(count(*), 0::bigint, 'its row is written with its end') from public.notification_attempts;
select is(jsonb_array_length(pg_temp.begin_all(r) -> 'lost'), 1, 'a delivery begins once') from step where name = 'c2';

-- Recording: retry
insert into step select 'r1', pg_temp.record_all(r, '{"class": "retry", "status": "failed", "burned": true, "retryInSeconds": 60, "statusCode": 500, "reason": "HTTP 500", "excerpt": "oops"}') from step where name = 'c2';
select is((jsonb_array_length(r -> 'recorded'), r #> '{events,0,closed}', r #> '{events,0,failed}')::text, '(1,false,"[""email""]")', 'a failed attempt is recorded, and the event stays open') from step where name = 'r1';
select is((status, retry_count, error_message, next_attempt_at > now() + interval '50 seconds', lease_until)::text, '(failed,1,"HTTP 500",t,)', 'the delivery waits for its next attempt') from public.notification_logs where recipient = 'a@b.c';
select is((a.class, a.attempt, a.worker, a.status_code, a.excerpt, a.finished_at is not null, a.started_at = d.begun_at)::text, '(retry,1,w1,500,oops,t,t)', 'the attempt is recorded') from public.notification_attempts a join public.notification_logs d on d.id = a.delivery where a.fence = 2;
select is(jsonb_array_length(public.show_delivery(jsonb_build_object('id', d.id)) -> 'attempts'), 1, 'the attempt is shown once') from public.notification_logs d where recipient = 'a@b.c';
select is((processed, retry_count, last_error)::text, '(f,1,"email: HTTP 500")', 'the event has the number of attempts and the error') from public.lead_events where event_type = 'lead.created';
select is(pg_temp.claim('[{"channel": "email", "recipient": "a@b.c"}]') -> 'deliveries', '[]', 'it is not claimed before its next attempt is due');
select is(jsonb_array_length(pg_temp.record_all(r, '{"class": "delivered", "status": "sent"}') -> 'lost'), 1, 'a second outcome of an attempt is lost') from step where name = 'c2';
update public.notification_logs set next_attempt_at = now() where recipient = 'a@b.c';

-- Recording: a throttled channel
insert into step values ('c3', pg_temp.claim('[{"channel": "email", "recipient": "a@b.c"}]'));
select is((r #> '{deliveries,0,fence}', r #> '{deliveries,0,attempt}')::text, '(3,2)', 'a second attempt has a new fence') from step where name = 'c3';
select pg_temp.begin_all(r) from step where name = 'c3';
select pg_temp.record_all(r, '{"class": "throttled", "status": "failed", "burned": false, "retryInSeconds": 120, "retryAfterSeconds": 120, "reason": "HTTP 429"}') from step where name = 'c3';
select is((status, retry_count)::text, '(failed,1)', 'throttled sets status failed and uses up no attempt') from public.notification_logs where recipient = 'a@b.c';
select is((n.paused_until = l.next_attempt_at, n.pause_reason)::text, '(t,"HTTP 429")', 'throttled pauses the channel') from public.notification_channels n, public.notification_logs l where n.channel = 'email' and l.recipient = 'a@b.c';
select is(pg_temp.claim('[{"channel": "email", "recipient": "d@e.f"}]') -> 'deliveries', '[]', 'the pause applies to every recipient');
delete from public.notification_channels;

-- A worker that died while sending
update public.notification_logs set next_attempt_at = now() where recipient = 'a@b.c';
insert into step values ('c4', pg_temp.claim('[{"channel": "email", "recipient": "a@b.c"}]'));
select pg_temp.begin_all(r) from step where name = 'c4';
update public.notification_logs set lease_until = now() - interval '1 second' where status = 'sending';
select is(pg_temp.claim('[]') -> 'deliveries', '[]', 'a claim expires old leases');
select is((status, outcome_class, retry_count, error_message like '%unknown%', next_attempt_at is not null)::text, '(failed,unknown,2,t,t)', 'its outcome is unknown') from public.notification_logs where recipient = 'a@b.c';
select is((select (class, finished_at is not null)::text from public.notification_attempts where fence = 4), '(unknown,t)', 'its attempt has outcome unknown');
savepoint lapsed;
select is(jsonb_array_length(pg_temp.record_all(r, '{"class": "delivered", "status": "sent", "burned": true}') -> 'recorded'), 1, 'its late outcome counts while the delivery is not claimed') from step where name = 'c4';
select is((status, retry_count)::text, '(sent,2)', 'the delivered notification is not sent again, and the attempt counts once') from public.notification_logs where recipient = 'a@b.c';
select is((select (attempt, class, worker, started_at < finished_at)::text from public.notification_attempts where fence = 4), '(2,delivered,w1,t)', 'its attempt has the late outcome');
rollback to lapsed;
select cmp_ok(next_attempt_at, '>', clock_timestamp() + interval '2 seconds', 'the next attempt is at least 2 seconds later') from public.notification_logs where recipient = 'a@b.c';
update public.notification_logs set next_attempt_at = now() where recipient = 'a@b.c';

-- Recipients that are no longer configured
savepoint moved;
select is((select count(*) from public.notification_logs where due_at is not null and recipient = 'a@b.c'), 1::bigint, 'one delivery waits for its recipient');
select is(pg_temp.claim('[{"channel": "email", "recipient": "new@b.c", "limit": 0}]') -> 'deliveries', '[]', 'a claim that is not complete reroutes nothing');
select is((select count(*) from public.notification_logs where recipient = 'a@b.c'), 1::bigint, 'the delivery still waits for its recipient');
select pg_temp.claim('[{"channel": "slack", "limit": 0}, {"channel": "email", "recipient": "x@b.c", "limit": 0}, {"channel": "email", "recipient": "y@b.c", "limit": 0}]', '{"isComplete": true}');
select is((status, error_message, due_at is not null)::text, '(failed,"This recipient is not configured; the delivery waits until it is.",t)', 'with several recipients it fails with the reason') from public.notification_logs where recipient = 'a@b.c';
select pg_temp.claim('[{"channel": "slack", "limit": 0}, {"channel": "email", "recipient": "new@b.c", "limit": 0}]', '{"isComplete": true}');
select is((select count(*) from public.notification_logs where recipient = 'new@b.c' and due_at is not null), 1::bigint, 'with one recipient it is rerouted to it, once');
rollback to moved;

-- Closing the event
insert into step values ('c5', pg_temp.claim('[{"channel": "email", "recipient": "a@b.c"}, {"channel": "email", "recipient": "d@e.f"}]'));
select is(jsonb_array_length(pg_temp.record_all(r, '{"class": "delivered", "status": "sent"}') -> 'lost'), 1, 'a late outcome is lost if another worker has the delivery') from step where name = 'c4';
select pg_temp.begin_all(r) from step where name = 'c5';
insert into step select 'r5', pg_temp.record_all(r, '{"class": "delivered", "status": "sent", "burned": true, "providerId": "p1", "subject": "S", "finishedAt": "2026-11-22T21:00:00Z"}') from step where name = 'c5';
select is((r #> '{events,0}') - 'eventId'::text, '{"settled": false, "closed": false, "sent": ["email"], "failed": []}', 'an event with a claimed delivery is not settled') from step where name = 'r5';
select is((status, error_message, next_attempt_at, provider_id, subject, sent_at)::text, (row ('sent'::text, null::text, null::timestamptz, 'p1'::text, 'S'::text, '2026-11-22T21:00:00Z'::timestamptz))::text, 'a sent delivery has no error and no next attempt') from public.notification_logs where recipient = 'a@b.c';
update public.notification_logs set lease_until = null where channel = 'slack';
insert into step values ('c6', pg_temp.claim('[{"channel": "slack"}]'));
select pg_temp.begin_all(r) from step where name = 'c6';
insert into step select 'r6', pg_temp.record_all(r, '{"class": "permanent", "status": "failed", "burned": true, "reason": "no_service"}') from step where name = 'c6';
select is(e - 'eventId', '{"settled": true, "closed": true, "sent": ["email"], "failed": ["slack"]}', 'the last delivery closes the event')
from step, jsonb_array_elements(r -> 'events') e where name = 'r6' and e -> 'sent' <> '[]';
select is((processed, processed_at is not null, last_error)::text, '(t,t,"slack: no_service")', 'the closed event is processed and keeps its last error') from public.lead_events where event_type = 'lead.created';
select is((select count(*) from public.lead_events where not processed), 0::bigint, 'the backlog is empty');
select results_eq($$ select event_type::text, count(*) from public.lead_events where event_type::text like 'notification.%' and processed group by 1 order by 1 $$,
  $$ values ('notification.failed', 2::bigint), ('notification.sent', 2::bigint) $$, 'each finished delivery has an event, processed from the start');
select results_eq($$ select title, description from public.conversation_timeline where event_type = 'notification_sent' and conversation_id = '20000000-0000-4000-8000-000000000001' group by 1, 2 order by 1 $$,
  $$ values ('Notification failed via slack', 'no_service'), ('Notification sent via email', null) $$, 'each finished delivery has a timeline entry');
select is(public.health_report() - '{workerLastSeen,workerIsSilent,pausedChannels,durable,hasRoom,mayCapture,changedLogins}'::text[], '{"unprocessed": 0, "oldestSeconds": null, "failed": 2}', 'the health report counts failed deliveries');
select is((public.health_report() -> 'durable')::boolean, current_setting('fsync')::boolean and current_setting('synchronous_commit') <> 'off', 'the health report has whether commits are durable');

-- Deliveries of new events
savepoint fresh;
delete from public.lead_events;
select public.emit_lead_event('lead.created', '20000000-0000-4000-8000-000000000001') from generate_series(1, 5);
insert into step values ('f1', pg_temp.claim('[{"channel": "slack", "limit": 2}, {"channel": "email", "recipient": "a@b.c", "limit": 1}]'));
select is((jsonb_array_length(r -> 'deliveries'), r -> 'planned')::text, '(3,2)', 'no more events are planned than an entry can take') from step where name = 'f1';
select results_eq($$ select channel::text, status, fence, leased_by, lease_until > now(), count(*) from public.notification_logs group by 1, 2, 3, 4, 5 order by 1, 3 $$,
  $$ values ('email', 'pending', 0::bigint, null, null, 1::bigint), ('email', 'pending', 1, 'w1', true, 1), ('slack', 'pending', 1, 'w1', true, 2) $$,
  'deliveries of new events are created with a lease, up to the limit of their entry');
select is(pg_temp.begin_all(r) -> 'lost', '[]', 'they can begin') from step where name = 'f1';
insert into step values ('f2', pg_temp.claim('[{"channel": "email", "recipient": "a@b.c", "limit": 1}]'));
select is((r -> 'planned', r #> '{deliveries,0,fence}')::text, '(0,1)', 'older deliveries come first') from step where name = 'f2';
insert into public.notification_channels (channel, paused_until) values ('slack', now() + interval '1 hour');
insert into step values ('f3', pg_temp.claim('[{"channel": "slack"}]'));
select is((r -> 'planned', r -> 'deliveries', (select count(*) from public.notification_logs where channel = 'slack' and lease_until is null))::text, '(3,[],3)', 'a paused channel gets its deliveries, without a lease') from step where name = 'f3';
rollback to fresh;

-- Follow-ups and SLA
insert into public.follow_up_tasks (conversation_id, follow_up_date, status) values
  ('20000000-0000-4000-8000-000000000001', now() - interval '1 hour', 'scheduled'), ('20000000-0000-4000-8000-000000000001', now() - interval '1 hour', 'completed'),
  ('20000000-0000-4000-8000-000000000001', now() + interval '1 hour', 'scheduled');
select cmp_ok(public.update_overdue_follow_ups(), '>=', 1, 'an open follow-up becomes overdue');
select is((select count(*) from public.follow_up_tasks where conversation_id = '20000000-0000-4000-8000-000000000001' and status = 'overdue'), 1::bigint, 'no other follow-up becomes overdue');
insert into public.conversations (customer_name, sla_response_deadline, first_response_at, status) values
  ('sla past', now() - interval '5 minutes', null, 'new'), ('sla soon', now() + interval '20 minutes', null, 'in-progress'), ('sla later', now() + interval '40 minutes', null, 'new'),
  ('sla met', now() - interval '5 minutes', now(), 'new'), ('sla lost', now() - interval '5 minutes', null, 'lost');
select results_eq($$ select customer_name, minutes_remaining, is_breached from public.get_sla_breach_candidates() where customer_name like 'sla %' $$,
  $$ values ('sla past', -5, true), ('sla soon', 20, false) $$, 'candidates have no response, are open, and are past or near their deadline');
select is((select count(*) from public.get_sla_breach_candidates(60) where customer_name like 'sla %'), 3::bigint, 'the warning time can be changed');

-- updated_at
update public.conversations set notes = 'x' where id = '20000000-0000-4000-8000-000000000001';
select cmp_ok(updated_at, '>', created_at, 'updated_at is updated') from public.conversations where id = '20000000-0000-4000-8000-000000000001';
select * from finish();
rollback;
