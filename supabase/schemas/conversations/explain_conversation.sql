-- Returns the facts that explain a conversation's state: the conversation, the times of its first 200 lead.updated
-- events, its newest 50 deliveries and its newest 20 events that have none but should, both as returned by
-- show_delivery, its receipt, how it is assigned, and its next follow-up.
create or replace function public.explain_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  p := leadpipe.authorize(p, 'read');
  c := leadpipe.require_conversation(p);
  return jsonb_build_object(
    'now', leadpipe.iso8601(clock_timestamp()),
    'conversation', leadpipe.conversation_document(c, p) || jsonb_build_object('metadata', leadpipe.shown(c.metadata)),
    'additions', (
      select coalesce(jsonb_agg(leadpipe.iso8601(e.created_at) order by e.created_at), '[]')
      from (select e.created_at from public.lead_events e where e.conversation_id = c.id and e.event_type = 'lead.updated'
            order by e.created_at limit 200) e),
    'deliveries', (
      select coalesce(jsonb_agg(public.show_delivery(jsonb_build_object('id', d.id)) order by d.created_at, d.id), '[]')
      from (select d.id, d.created_at from public.notification_logs d where d.conversation_id = c.id
            order by d.created_at desc, d.id desc limit 50) d),
    'undelivered', (
      select coalesce(jsonb_agg(public.show_delivery(jsonb_build_object('id', e.id)) order by e.created_at, e.id), '[]')
      from (select e.id, e.created_at from public.lead_events e
            where e.conversation_id = c.id and c.status <> 'spam' and leadpipe.event_notifies(e.event_type, e.payload)
              and not exists (select from public.notification_logs d where d.lead_event_id = e.id)
            order by e.created_at desc, e.id desc limit 20) e),
    'receipt', (select jsonb_build_object('notSent', r.reason, 'at', leadpipe.iso8601(r.decided_at)) from leadpipe.receipts r where r.conversation_id = c.id),
    'assignment', leadpipe.assignment_document(c),
    'followUp', (
      select jsonb_build_object('id', f.id, 'at', leadpipe.iso8601(f.follow_up_date), 'reminderType', f.reminder_type)
      from public.follow_up_tasks f where f.conversation_id = c.id and f.status not in ('completed', 'cancelled')
      order by f.follow_up_date, f.id limit 1));
end
$$;
revoke all on function public.explain_conversation(jsonb) from public, anon, authenticated;
grant execute on function public.explain_conversation(jsonb) to leadpipe_admin, service_role;
