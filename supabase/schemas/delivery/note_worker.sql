-- Records that a worker has claimed. Workers with the same name do not wait for each other.
create or replace function leadpipe.note_worker(p jsonb, p_now timestamptz) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_worker constant text := coalesce(left(p ->> 'worker', 200), 'worker');
begin
  update public.workers w set last_seen = p_now, version = left(p ->> 'version', 100),
    -- A worker sends the fingerprints with its first claim. In a container, a new worker can have the name of the old one.
    started_at = case when jsonb_typeof(p -> 'fingerprints') = 'object' then p_now else w.started_at end
  where w.name = (select o.name from public.workers o where o.name = v_worker for no key update skip locked);
  if not found then
    insert into public.workers (name, version, started_at, last_seen) select v_worker, left(p ->> 'version', 100), p_now, p_now
    where not exists (select from public.workers o where o.name = v_worker) on conflict do nothing;
  end if;
end
$$;
revoke all on function leadpipe.note_worker(jsonb, timestamptz) from public, anon, authenticated;
