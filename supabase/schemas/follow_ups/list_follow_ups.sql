-- Lists follow-ups, earliest first, filtered by `status`, `assignedAgentId`, `conversationId`, `from` and `to` (the due
-- time).
create or replace function public.list_follow_ups(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_limit integer;
  v_after jsonb;
  v_found uuid[];
begin
  p := leadpipe.authorize(p, 'read');
  v_limit := coalesce((p ->> 'limit')::integer, 50);
  v_after := leadpipe.cursor_position('follow-ups', p ->> 'cursor');
  v_found := array(
    select f.id from public.follow_up_tasks f
    where (p -> 'status' is null
        or case when f.status in ('scheduled', 'in_progress') and f.follow_up_date < now() then 'overdue' else f.status::text end
           in (select jsonb_array_elements_text(p -> 'status')))
      and (p -> 'status' is distinct from '["overdue"]' or f.follow_up_date < now())  -- for the index
      and (p ->> 'assignedAgentId' is null or f.assigned_agent_id = (p ->> 'assignedAgentId')::uuid)
      and (p ->> 'conversationId' is null or f.conversation_id = (p ->> 'conversationId')::uuid)
      and (p ->> 'from' is null or f.follow_up_date >= (p ->> 'from')::timestamptz)
      and (p ->> 'to' is null or f.follow_up_date < (p ->> 'to')::timestamptz)
      and (v_after is null or (f.follow_up_date, f.id) > ((v_after ->> 'at')::timestamptz, (v_after ->> 'id')::uuid))
    order by f.follow_up_date, f.id limit v_limit + 1);
  return jsonb_build_object('limit', v_limit,
    'data', (select coalesce(jsonb_agg(leadpipe.follow_up_document(to_jsonb(f)) order by f.follow_up_date, f.id), '[]')
             from public.follow_up_tasks f where f.id = any (v_found[:v_limit])),
    'nextCursor', (select leadpipe.row_cursor('follow-ups', f.follow_up_date, f.id) from public.follow_up_tasks f
                   where f.id = v_found[v_limit] and cardinality(v_found) > v_limit));
end
$$;
revoke all on function public.list_follow_ups(jsonb) from public, anon, authenticated;
grant execute on function public.list_follow_ups(jsonb) to leadpipe_admin, service_role;
