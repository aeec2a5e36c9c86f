-- Marks deliveries of unsent leads as being sent, as begin_deliveries does for those of events. All others are `lost`.
create or replace function leadpipe.begin_direct(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_lease constant interval := make_interval(secs => coalesce((p ->> 'leaseSeconds')::double precision, 30));
  v_reply jsonb;
begin
  with asked as (
    select * from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid, fence bigint)
  ), begun as (
    update leadpipe.direct_deliveries d set status = 'sending', lease_until = v_now + v_lease
    from asked where d.id = asked.id and d.fence = asked.fence and d.status = 'pending' and d.lease_until > v_now
    returning d.id, d.retry_count + 1 as attempt
  )
  select jsonb_build_object(
    'begun', coalesce((select jsonb_agg(jsonb_build_object('id', id, 'attempt', attempt) order by id) from begun), '[]'),
    'paused', jsonb_build_array(), 'early', jsonb_build_array(),
    'lost', coalesce((select jsonb_agg(distinct id) from asked where id not in (select id from begun)), '[]'))
  into v_reply;
  return v_reply;
end
$$;
revoke all on function leadpipe.begin_direct(jsonb) from public, anon, authenticated;
