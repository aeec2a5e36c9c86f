-- Counts what prune_persons would erase now with `days`: {"leads", "oldest", "closed", "subscriptions", "erasesFrom"}.
-- `subscriptions` are newsletter addresses that were kept aside as spam. `oldest` is
-- when the oldest of them was stored, `closed` the number of closed leads that are not erased, and `erasesFrom` the
-- beginning of the next pass; null if no worker has called prune_persons with days.
create or replace function public.count_old_leads(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v_before constant timestamptz := clock_timestamp() - make_interval(days => (p ->> 'days')::integer);
begin
  p := leadpipe.authorize(p, 'owner');
  return (
    select jsonb_build_object('leads', count(*) filter (where is_old), 'oldest', leadpipe.iso8601(min(created_at) filter (where is_old)),
      'closed', count(*), 'subscriptions', (
        select count(*) from public.newsletter_subscribers s where s.status = 'spam' and s.updated_at < v_before), 'erasesFrom', (
        select leadpipe.iso8601(case when l.passed_to is null then l.passed_at + interval '1 day' else l.called_at end) from leadpipe.person_lock l))
    from (
      select c.created_at, c.created_at < v_before and c.updated_at < v_before and leadpipe.is_unused_since(c.id, v_before) as is_old
      from public.conversations c where (c.erased_at is null or c.customer_id is not null) and c.status in ('completed', 'lost', 'converted', 'spam')) as closed);
end
$$;
revoke all on function public.count_old_leads(jsonb) from public, anon, authenticated;
grant execute on function public.count_old_leads(jsonb) to leadpipe_admin, service_role;
