-- Leads that are announced without events (docs/how-to/roll-back.md). While the event tables do not exist, a capture
-- keeps here what its event would have said. A worker with DIRECT_NOTIFICATIONS=true claims deliveries from here, with
-- the same leases and fences as those of events. A lead is deleted once every delivery has been sent. The roll-back
-- drops neither table, and no event is ever made from their rows, so nothing is sent twice when events come back.

create table leadpipe.unsent_leads (
  id uuid constraint unsent_leads_pkey primary key default leadpipe.uuid_v7(),
  event_type public.lead_event_type not null,
  conversation_id uuid not null
    constraint unsent_leads_conversation_id_fkey references public.conversations (id) on delete cascade,
  payload jsonb not null default '{}',
  request_id text,
  created_at timestamptz not null default now(),
  planned_at timestamptz
);
revoke all on table leadpipe.unsent_leads from public, anon, authenticated, service_role;
create index unsent_leads_conversation_id_idx on leadpipe.unsent_leads (conversation_id);
create index unsent_leads_unplanned_idx on leadpipe.unsent_leads (created_at, id) where planned_at is null;
comment on table leadpipe.unsent_leads is 'Leads that were stored without an event and have not been announced on every channel.';
comment on column leadpipe.unsent_leads.planned_at is 'When the deliveries of the lead were created; null until then.';

create table leadpipe.direct_deliveries (
  id uuid constraint direct_deliveries_pkey primary key default leadpipe.uuid_v7(),
  lead_id uuid not null
    constraint direct_deliveries_lead_id_fkey references leadpipe.unsent_leads (id) on delete cascade,
  channel public.notification_channel not null,
  recipient text not null default 'default',
  status text not null default 'pending'
    constraint direct_deliveries_status_check check (status in ('pending', 'sending', 'sent', 'failed')),
  retry_count integer not null default 0,
  due_at timestamptz,
  lease_until timestamptz,
  leased_by text,
  fence bigint not null default 0,
  outcome_class text,
  may_have_arrived boolean not null default false,
  error_message text
);
revoke all on table leadpipe.direct_deliveries from public, anon, authenticated, service_role;
create unique index direct_deliveries_lead_id_channel_recipient_key on leadpipe.direct_deliveries (lead_id, channel, recipient);
create index direct_deliveries_due_idx on leadpipe.direct_deliveries (channel, recipient, due_at) where due_at is not null;
comment on table leadpipe.direct_deliveries is 'Deliveries of unsent_leads; see notification_logs for the columns of the same name.';
comment on column leadpipe.direct_deliveries.due_at is 'When the delivery can be claimed; null once it is sent or given up.';
comment on column leadpipe.direct_deliveries.may_have_arrived is 'True after an attempt with an unknown outcome: a later message is marked as a possible repeat.';
