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
  perform leadpipe.end_turns(v_late);
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
