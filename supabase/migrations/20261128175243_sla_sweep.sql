-- Generated from schemas/ by `make migration`, except for the lock. This file can run again at any time.

-- Waits for the lock in short tries, so that captures and claims do not queue behind this one.
do $$
begin
  perform set_config('lock_timeout', '200ms', true);
  for attempt in 1 .. 200 loop
    begin
      lock table public.conversations in access exclusive mode;
      exit;
    exception when lock_not_available then
      if attempt = 200 then
        raise;
      end if;
      perform pg_sleep(0.1);
    end;
  end loop;
  perform set_config('lock_timeout', '0', true);
end
$$;

-- The state of the SLA sweep (docs/explanation/sla.md): one row, whose lock lets one sweep run at a time. Only functions
-- read it.
create table if not exists leadpipe.sla_sweep (
  is_only boolean constraint sla_sweep_pkey primary key default true constraint sla_sweep_is_only_check check (is_only),
  own_left double precision not null default 0,
  own_at timestamptz not null default '-infinity',
  warned integer not null default 0,
  breached integer not null default 0,
  oldest timestamptz,
  summed_at timestamptz not null default '-infinity'
);

revoke all on table leadpipe.sla_sweep from public, anon, authenticated, service_role;

comment on column leadpipe.sla_sweep.own_left is 'How many warnings and breaches could have a notification of their own at own_at.';

comment on column leadpipe.sla_sweep.warned is 'The warnings that the next summary reports.';

comment on column leadpipe.sla_sweep.breached is 'The breaches that the next summary reports.';

comment on column leadpipe.sla_sweep.oldest is 'The earliest deadline of these breaches.';

comment on column leadpipe.sla_sweep.summed_at is 'When the last summary was emitted.';

alter table public.conversations add column if not exists sla_warned_for timestamp with time zone;

-- True if an event causes notifications: a new lead, a reopened conversation, a subscription, or a deadline that no other
-- event sums up. All other events are marked as processed when they are added.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.event_notifies(p_event_type public.lead_event_type, p_payload jsonb) returns boolean language sql stable as
  $$ select p_event_type::text in ('lead.created', 'newsletter.subscribed')
       or p_event_type::text in ('sla.warning', 'sla.breached') and not p_payload ? 'isSummedUp'
       or p_event_type::text = 'lead.updated' and p_payload ? 'reopenedFrom' $$;

revoke all on function leadpipe.event_notifies(public.lead_event_type, jsonb) from public, anon, authenticated;

-- Emits the event sla.warning or sla.breached for each of the locked conversations, and writes their timelines. At most
-- `p_own` of the events notify: the hottest leads first, and only those with a deadline after `p_own_after`. The others
-- are to be summed up: `summed` is their number, and `oldest` their earliest deadline. Does nothing for an event that
-- was emitted before: there is one for each conversation, type and deadline.
create or replace function leadpipe.announce_deadlines(
  p_type public.lead_event_type, p_ids uuid[], p_own integer, p_own_after timestamptz, p_now timestamptz,
  out own integer, out summed integer, out oldest timestamptz)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  with due as materialized (
    select c.*, a.name as agent_name,
      c.sla_response_deadline > p_own_after and row_number() over (
        order by c.sla_response_deadline > p_own_after desc, array_position('{hot,warm,cold}', c.lead_quality),
          c.sla_response_deadline, c.id) <= p_own as is_own,
      -- Half a minute before a full one is that minute; after the deadline only full minutes count.
      case when c.sla_response_deadline > p_now then greatest(round(extract(epoch from c.sla_response_deadline - p_now) / 60), 1)
        else ceil(extract(epoch from c.sla_response_deadline - p_now) / 60) end::bigint as minutes
    from public.conversations c left join public.agents a on a.id = c.assigned_agent_id
    where c.id = any (p_ids)
  ), facts as materialized (
    select due.*, jsonb_strip_nulls(jsonb_build_object(
      'source', source, 'customerName', customer_name, 'customerPhone', customer_phone, 'customerEmail', customer_email,
      'customerPhoneExtension', metadata -> 'customerPhoneExtension', 'leadScore', lead_score, 'leadQuality', lead_quality,
      'slaResponseDeadline', leadpipe.iso8601(sla_response_deadline), 'minutesRemaining', minutes,
      'assignedAgentId', assigned_agent_id, 'assignedAgentName', agent_name,
      'isSummedUp', case when not is_own then true end)) as payload
    from due
  ), emitted as (
    insert into public.lead_events (event_type, conversation_id, payload, idempotency_key, processed, processed_at, planned_at)
    select p_type, id, payload, p_type || ':' || id || ':' || leadpipe.iso8601(sla_response_deadline),
      done is not null, done, done
    from facts, lateral (select case when not leadpipe.event_notifies(p_type, payload) then p_now end) as quiet (done)
    on conflict (idempotency_key) do nothing
    returning conversation_id, processed
  ), noted as (
    insert into public.conversation_timeline (conversation_id, event_type, title, description, metadata)
    select id, replace(p_type::text, '.', '_')::public.timeline_event_type,
      case p_type when 'sla.warning' then 'SLA warning' else 'SLA breached' end,
      format('No first response yet: %s at %s UTC', case p_type when 'sla.warning' then 'it is due' else 'it was due' end,
        to_char(sla_response_deadline at time zone 'UTC', 'YYYY-MM-DD HH24:MI')),
      payload - '{source,customerName,customerPhone,customerEmail,customerPhoneExtension}'::text[]
    from facts join emitted on emitted.conversation_id = facts.id
  )
  select count(*) filter (where not processed), count(*) filter (where processed),
    min(sla_response_deadline) filter (where processed)
  into own, summed, oldest
  from emitted join due on due.id = emitted.conversation_id;
end
$$;

revoke all on function leadpipe.announce_deadlines(public.lead_event_type, uuid[], integer, timestamptz, timestamptz)
  from public, anon, authenticated;

-- Returns and locks at most `p_most` open conversations without a first response whose deadline is within the range and
-- whose breach has not been emitted: those that have been warned of it, or those that have not. The latest deadlines
-- come first, so that a long backlog does not delay new ones. A deadline before the conversation's creation was
-- calculated with a wrong clock, and is not returned. Conversations that another session has locked are left for a
-- later call.
create or replace function leadpipe.due_deadlines(
  p_is_warned boolean, p_quality text, p_deadlines tstzrange, p_most integer) returns uuid[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- The conditions match the index conversations_sla_due_idx.
  return array(
    select c.id from public.conversations c
    where c.first_response_at is null and c.status not in ('completed', 'lost', 'converted') and not c.sla_breached
      and coalesce(c.sla_warned_for = c.sla_response_deadline, false) = p_is_warned and c.lead_quality = p_quality
      and c.sla_response_deadline > c.created_at
      and c.sla_response_deadline > lower(p_deadlines) and c.sla_response_deadline <= upper(p_deadlines)
    order by c.sla_response_deadline desc limit p_most for no key update skip locked);
end
$$;

revoke all on function leadpipe.due_deadlines(boolean, text, tstzrange, integer) from public, anon, authenticated;

-- Returns the earliest deadline of open conversations without a first response whose breach has not been emitted: of
-- those that have been warned of it, or of those that have not. Null if there is none.
create or replace function leadpipe.next_deadline(p_is_warned boolean, p_quality text) returns timestamptz
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- The conditions match the index conversations_sla_due_idx.
  return (
    select c.sla_response_deadline from public.conversations c
    where c.first_response_at is null and c.status not in ('completed', 'lost', 'converted') and not c.sla_breached
      and coalesce(c.sla_warned_for = c.sla_response_deadline, false) = p_is_warned and c.lead_quality = p_quality
      and c.sla_response_deadline > c.created_at
    order by c.sla_response_deadline limit 1);
end
$$;

revoke all on function leadpipe.next_deadline(boolean, text) from public, anon, authenticated;

-- Emits what is due of the events sla.warning and sla.breached, in one small batch: at most `batch` of each (default 100,
-- at most 500). Each is emitted once for a conversation and deadline, and only while the conversation is open and has no
-- first response. `warnBefore` has a time for each quality: a conversation is warned of a deadline at or before it.
-- Without it, only breaches are emitted, and the call is not complete: its reply has the time of the database, from which
-- the caller calculates `warnBefore`. `conversations.sla_breached` is set with the breach.
--
-- Not every event notifies. `ownPerMinute` (default 20) events can have a notification of their own at once, and as many
-- a minute on average; and only breaches that are no older than `ownForSeconds` (default 3600). One event without a conversation sums up the
-- others when nothing is left to emit, and no sooner than a minute after the last such event.
--
-- Returns the time of the database (`now`), how many events were emitted (`warned`, `breached`) and how many of them are
-- summed up (`summedUp`), whether this call emitted a summary (`isSummary`), whether nothing is left (`isComplete`), the
-- earliest deadlines that have not been warned of (`unwarned`, by quality) and that have been (`warnedOf`), and when a
-- summary is due (`summaryAt`). One call works at a time; the others return `isBusy` at once.
create or replace function public.sweep_sla(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  c_qualities constant text[] := '{hot,warm,cold}';
  v_batch constant integer := least(greatest(coalesce((p ->> 'batch')::integer, 100), 1), 500);
  v_most constant integer := greatest(coalesce((p ->> 'ownPerMinute')::integer, 20), 0);
  v_own_for constant interval := make_interval(secs => greatest(coalesce((p ->> 'ownForSeconds')::integer, 3600), 0));
  v_now timestamptz;
  s leadpipe.sla_sweep;
  v_quality text;
  v_is_warned boolean;
  v_late uuid[] := '{}';
  v_near uuid[] := '{}';
  v_breaches record;
  v_warnings record;
  v_left double precision;
  v_is_complete boolean;
  v_is_summary boolean := false;
begin
  perform leadpipe.check_size(p, 4096);
  if to_regclass('public.lead_events') is null or to_regclass('public.conversation_timeline') is null then
    return jsonb_build_object('now', leadpipe.iso8601(clock_timestamp()), 'warned', 0, 'breached', 0, 'summedUp', 0,
      'isSummary', false, 'isBusy', false, 'isComplete', true, 'unwarned', '{}'::jsonb, 'warnedOf', null, 'summaryAt', null);
  end if;
  insert into leadpipe.sla_sweep (is_only) select true where not exists (select from leadpipe.sla_sweep) on conflict do nothing;
  select * into s from leadpipe.sla_sweep for no key update skip locked;
  v_now := clock_timestamp();
  if not found then
    return jsonb_build_object('now', leadpipe.iso8601(v_now), 'warned', 0, 'breached', 0, 'summedUp', 0,
      'isSummary', false, 'isBusy', true, 'isComplete', false, 'unwarned', '{}'::jsonb, 'warnedOf', null, 'summaryAt', null);
  end if;

  foreach v_is_warned in array '{t,f}'::boolean[] loop
    foreach v_quality in array c_qualities loop
      v_late := v_late || leadpipe.due_deadlines(v_is_warned, v_quality, tstzrange('-infinity', v_now), v_batch - cardinality(v_late));
    end loop;
  end loop;
  foreach v_quality in array c_qualities loop
    if (p #>> array['warnBefore', v_quality])::timestamptz > v_now then
      v_near := v_near || leadpipe.due_deadlines(false, v_quality,
        tstzrange(v_now, (p #>> array['warnBefore', v_quality])::timestamptz), v_batch - cardinality(v_near));
    end if;
  end loop;
  v_is_complete := p ? 'warnBefore' and cardinality(v_late) < v_batch and cardinality(v_near) < v_batch;

  -- A minute gives back all. If the clock was set back, the difference is negative.
  v_left := case when s.own_at = '-infinity' or s.own_at > v_now then v_most
    else least(s.own_left + v_most * extract(epoch from v_now - s.own_at) / 60, v_most) end;
  select * into v_breaches from leadpipe.announce_deadlines('sla.breached', v_late, floor(v_left)::integer, v_now - v_own_for, v_now);
  update public.conversations c set sla_breached = true where c.id = any (v_late);
  select * into v_warnings from leadpipe.announce_deadlines('sla.warning', v_near, floor(v_left)::integer - v_breaches.own, '-infinity', v_now);
  update public.conversations c set sla_warned_for = c.sla_response_deadline where c.id = any (v_near);

  s.warned := s.warned + v_warnings.summed;
  s.breached := s.breached + v_breaches.summed;
  s.oldest := least(s.oldest, v_breaches.oldest);
  if v_breaches.own + v_warnings.own > 0 then
    s.own_left := v_left - v_breaches.own - v_warnings.own;
    s.own_at := v_now;
  end if;
  if v_is_complete and s.warned + s.breached > 0
      and (s.summed_at <= v_now - interval '1 minute' or s.summed_at > v_now) then
    perform public.emit_lead_event(case when s.breached > 0 then 'sla.breached' else 'sla.warning' end::public.lead_event_type, null,
      jsonb_strip_nulls(jsonb_build_object('sumsUp', s.warned + s.breached, 'breached', s.breached, 'warned', s.warned,
        'oldestDeadline', leadpipe.iso8601(s.oldest))));
    s.warned := 0;
    s.breached := 0;
    s.oldest := null;
    s.summed_at := v_now;
    v_is_summary := true;
  end if;
  if cardinality(v_late) + cardinality(v_near) > 0 or v_is_summary then
    update leadpipe.sla_sweep w set own_left = s.own_left, own_at = s.own_at, warned = s.warned, breached = s.breached,
      oldest = s.oldest, summed_at = s.summed_at
    where w.is_only;
  end if;

  return jsonb_build_object(
    'now', leadpipe.iso8601(v_now), 'warned', v_warnings.own + v_warnings.summed, 'breached', v_breaches.own + v_breaches.summed,
    'summedUp', v_warnings.summed + v_breaches.summed, 'isSummary', v_is_summary, 'isBusy', false, 'isComplete', v_is_complete,
    'unwarned', (select jsonb_object_agg(q, leadpipe.iso8601(leadpipe.next_deadline(false, q))) from unnest(c_qualities) q),
    'warnedOf', (select leadpipe.iso8601(min(leadpipe.next_deadline(true, q))) from unnest(c_qualities) q),
    'summaryAt', case when s.warned + s.breached > 0 then leadpipe.iso8601(greatest(s.summed_at + interval '1 minute', v_now)) end);
end
$$;

revoke all on function public.sweep_sla(jsonb) from public, anon, authenticated;

grant execute on function public.sweep_sla(jsonb) to leadpipe_worker, service_role;

CREATE INDEX IF NOT EXISTS conversations_sla_due_idx ON public.conversations USING btree (COALESCE((sla_warned_for = sla_response_deadline), false), lead_quality, sla_response_deadline) WHERE ((first_response_at IS NULL) AND (status <> ALL (ARRAY['completed'::text, 'lost'::text, 'converted'::text])) AND (NOT sla_breached) AND (sla_response_deadline > created_at));

create or replace trigger conversations_updated_at BEFORE UPDATE ON public.conversations FOR EACH ROW WHEN ((NOT (old.sla_warned_for IS DISTINCT FROM new.sla_warned_for))) EXECUTE FUNCTION public.update_updated_at_column();

comment on column public.conversations.sla_warned_for is 'The deadline of the latest sla.warning; null if there was none.';
