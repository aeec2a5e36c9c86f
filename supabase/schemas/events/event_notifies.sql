-- True if events of this type cause notifications. All other events are marked as processed when they are added.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.event_notifies(p_event_type public.lead_event_type) returns boolean language sql stable as
  $$ select p_event_type::text in ('lead.created', 'newsletter.subscribed', 'sla.warning', 'sla.breached') $$;
revoke all on function leadpipe.event_notifies(public.lead_event_type) from public, anon, authenticated;
