-- Plans the receipts of new leads, in one small batch: at most `batch` (default 50, at most 500). `channels` has the
-- configured channels and recipients: without email there are no receipts. At most `perMinute` (default 20) receipts are
-- planned in a minute; an address gets at most one in 24 hours and five in 30 days.
--
-- Returns how many receipts were planned (`planned`), how many were not because of a limit (`limited`), how many leads
-- another session has locked (`waiting`), and whether nothing else is left (`isComplete`). One call works at a time; the
-- others return `isBusy` at once. Waits for no row. The first call of all plans none: it finds out where to begin.
create or replace function public.sweep_receipts(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch constant integer := least(greatest(coalesce((p ->> 'batch')::integer, 50), 1), 500);
  v_most constant integer := least(greatest(coalesce((p ->> 'perMinute')::integer, 20), 1), 10000);
  v_now timestamptz;
  v_nothing constant jsonb := '{"planned": 0, "limited": 0, "waiting": 0, "isBusy": false, "isComplete": true}';
  s leadpipe.receipt_sweep;
  v_row record;
  v_outcome text;
  v_done uuid[] := '{}';
  v_read integer := 0;
  v_planned integer := 0;
  v_limited integer := 0;
  v_waiting integer := 0;
begin
  perform leadpipe.check_size(p, 65536);
  if to_regclass('public.lead_events') is null or to_regclass('public.conversation_timeline') is null
    or to_regclass('public.notification_logs') is null then
    return v_nothing;
  end if;
  insert into leadpipe.receipt_sweep (is_only) select true where not exists (select from leadpipe.receipt_sweep) on conflict do nothing;
  select * into s from leadpipe.receipt_sweep for no key update skip locked;
  if not found then
    return v_nothing || '{"isBusy": true, "isComplete": false}';
  end if;
  v_now := clock_timestamp();
  s.seen := leadpipe.queue_receipts(s.seen, v_now);
  if not coalesce(p -> 'channels', '[]') @> '[{"channel": "email"}]' then
    delete from leadpipe.receipt_queue where true;
  end if;

  -- A clock that was set back grants nothing.
  s.tokens := case when s.tokens_at = '-infinity' then v_most when s.tokens_at > v_now then least(s.tokens, v_most)
    else least(s.tokens + v_most * extract(epoch from v_now - s.tokens_at) / 60, v_most) end;
  for v_row in select q.conversation_id as id, q.queued_at from leadpipe.receipt_queue q order by q.queued_at, q.conversation_id limit v_batch loop
    v_read := v_read + 1;
    v_outcome := leadpipe.plan_receipt(v_row.id, s.tokens >= 1, v_now);
    if v_outcome = 'locked' then
      v_waiting := v_waiting + 1;
      -- Behind the others, so that leads that stay locked do not stop them.
      update leadpipe.receipt_queue q set queued_at = v_now where q.conversation_id = v_row.id;
      continue;
    end if;
    v_done := v_done || v_row.id;
    v_planned := v_planned + (v_outcome = 'planned')::integer;
    v_limited := v_limited + (v_outcome = 'limited')::integer;
    s.tokens := s.tokens - (v_outcome = 'planned')::integer;
  end loop;
  delete from leadpipe.receipt_queue q where q.conversation_id = any (v_done);
  update leadpipe.receipt_sweep set seen = s.seen, tokens = s.tokens, tokens_at = v_now where is_only;

  return jsonb_build_object('planned', v_planned, 'limited', v_limited, 'waiting', v_waiting, 'isBusy', false,
    'isComplete', v_read < v_batch);
end
$$;
revoke all on function public.sweep_receipts(jsonb) from public, anon, authenticated;
grant execute on function public.sweep_receipts(jsonb) to leadpipe_worker, service_role;
