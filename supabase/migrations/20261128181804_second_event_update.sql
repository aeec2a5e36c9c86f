-- The part of the change before that locks lead_events, which captures need, for a moment only: it removes the indexes
-- that make each update of an event write a new entry into all indexes. This file can run again at any time.

-- Gives up after 0.2 s and tries again, so that captures do not wait behind a long transaction that reads the table.
do $$
begin
  perform set_config('lock_timeout', '200ms', true);
  for attempt in 1 .. 200 loop
    begin
      lock table public.lead_events in access exclusive mode;
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

alter table public.lead_events set (fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=10000, autovacuum_analyze_scale_factor=0.02);

drop index if exists public.lead_events_processed_at_idx;

drop index if exists public.lead_events_unprocessed_idx;
