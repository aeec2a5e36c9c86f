-- Marks open follow-ups whose time has passed as overdue, and returns their number.
create or replace function public.update_overdue_follow_ups() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_count integer;
begin
  update public.follow_up_tasks set status = 'overdue'
  where status in ('scheduled', 'in_progress') and follow_up_date < now();
  get diagnostics v_count = row_count;
  return v_count;
end
$$;
revoke all on function public.update_overdue_follow_ups() from public, anon, authenticated;
grant execute on function public.update_overdue_follow_ups() to service_role;
