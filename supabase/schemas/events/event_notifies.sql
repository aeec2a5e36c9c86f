-- True if an event causes notifications: a new lead, a reopened conversation, new contact details of an answered lead, a lead whose
-- customer has made it hotter, a subscription, or a deadline or an automatic assignment that no other event sums up. All other events are marked as processed when they are added.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.event_notifies(p_event_type public.lead_event_type, p_payload jsonb) returns boolean language sql stable as
  $$ select p_event_type::text in ('lead.created', 'newsletter.subscribed')
       or p_event_type::text in ('sla.warning', 'sla.breached') and not p_payload ? 'isSummedUp'
       or p_event_type::text = 'lead.updated' and p_payload ?| '{reopenedFrom,contactBefore}'
       or p_event_type::text = 'lead.qualified' and p_payload ? 'risenFrom'
       or p_event_type::text = 'lead.assigned' and p_payload ? 'automatic' and not p_payload ? 'isSummedUp' $$;
revoke all on function leadpipe.event_notifies(public.lead_event_type, jsonb) from public, anon, authenticated;
