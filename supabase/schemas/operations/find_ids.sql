-- Finds rows by the beginning of their ids, for the commands of the operator. `prefix` has 4 to 31 hexadecimal digits.
-- `kinds` lists the tables to search: conversation, delivery, event, agent. Returns the first five ids in order.
create or replace function public.find_ids(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_first constant uuid := rpad(p ->> 'prefix', 32, '0')::uuid;
  v_last constant uuid := rpad(p ->> 'prefix', 32, 'f')::uuid;
begin
  return jsonb_build_object('ids', (
    select coalesce(jsonb_agg(id order by id), '[]') from (
      select distinct id from (
        select id from public.conversations where p -> 'kinds' ? 'conversation' and id between v_first and v_last
        union all
        select id from public.notification_logs where p -> 'kinds' ? 'delivery' and id between v_first and v_last
        union all
        select id from public.lead_events where p -> 'kinds' ? 'event' and id between v_first and v_last
        union all
        select id from public.agents where p -> 'kinds' ? 'agent' and id between v_first and v_last) every
      order by id limit 5) found));
end
$$;
revoke all on function public.find_ids(jsonb) from public, anon, authenticated;
grant execute on function public.find_ids(jsonb) to leadpipe_admin, service_role;
