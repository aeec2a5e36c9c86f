create type public.app_role as enum ('admin', 'moderator', 'user');

create type public.lead_event_type as enum (
  'lead.created', 'lead.updated', 'lead.qualified', 'lead.assigned', 'lead.contacted', 'lead.follow_up_scheduled',
  'lead.follow_up_completed', 'lead.converted', 'lead.lost', 'notification.sent', 'notification.failed',
  'notification.delivered', 'sla.warning', 'sla.breached', 'newsletter.subscribed', 'channel.test',
  'lead.follow_up_due', 'agent.digest', 'lead.receipt');

create type public.notification_channel as enum ('slack', 'email', 'telegram', 'whatsapp', 'sms', 'push', 'webhook');

create type public.timeline_event_type as enum (
  'created', 'status_changed', 'assigned', 'note_added', 'follow_up_scheduled', 'follow_up_completed', 'notification_sent',
  'customer_contacted', 'property_viewed', 'document_shared', 'meeting_scheduled', 'call_logged', 'email_sent',
  'sla_warning', 'sla_breached');

create type public.follow_up_status as enum ('scheduled', 'in_progress', 'completed', 'cancelled', 'overdue');

-- The parameters of a conversation list: filters, the current time, and the last row of the previous page.
create type leadpipe.conversation_search as (
  statuses text[], qualities text[], intents text[], areas text[], agents uuid[], tags text[], sources text[], follow_ups text[],
  sla_states text[], least_score integer, most_score integer, since timestamptz, until timestamptz,
  now timestamptz, today timestamptz, tomorrow timestamptz, warn_hot timestamptz, warn_warm timestamptz, warn_cold timestamptz,
  wanted tsquery, terms tsquery, after_score integer, after_amount double precision, after_time timestamptz,
  after_created timestamptz, after_id uuid);
