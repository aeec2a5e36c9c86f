-- The website's migration with the version 20251219000001: the same types and tables, with other columns and functions.
create type lead_event_type as enum (
  'lead.created', 'lead.updated', 'lead.qualified', 'lead.assigned', 'lead.contacted', 'lead.follow_up_scheduled',
  'lead.follow_up_completed', 'lead.converted', 'lead.lost', 'notification.sent', 'notification.failed',
  'notification.delivered', 'sla.warning', 'sla.breached');
create type notification_channel as enum ('slack', 'email', 'telegram', 'whatsapp', 'sms', 'push', 'webhook');
create type timeline_event_type as enum (
  'created', 'status_changed', 'assigned', 'note_added', 'follow_up_scheduled', 'follow_up_completed', 'notification_sent',
  'customer_contacted', 'property_viewed', 'document_shared', 'meeting_scheduled', 'call_logged', 'email_sent',
  'sla_warning', 'sla_breached');
create type follow_up_status as enum ('scheduled', 'in_progress', 'completed', 'cancelled', 'overdue');

create table lead_events (
  id uuid primary key default gen_random_uuid(),
  event_type lead_event_type not null,
  conversation_id uuid references conversations (id) on delete cascade,
  payload jsonb not null default '{}',
  processed boolean not null default false,
  processed_at timestamptz,
  retry_count integer not null default 0,
  max_retries integer not null default 3,
  last_error text,
  idempotency_key text unique,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index idx_lead_events_unprocessed on lead_events (processed, created_at) where processed = false;
create index idx_lead_events_type on lead_events (event_type);

create table conversation_timeline (
  id uuid primary key default gen_random_uuid(),
  conversation_id uuid not null references conversations (id) on delete cascade,
  event_type timeline_event_type not null,
  title text not null,
  description text,
  actor_type text not null default 'system',
  actor_id text,
  actor_name text,
  metadata jsonb default '{}',
  created_at timestamptz not null default now()
);
create index idx_timeline_conversation on conversation_timeline (conversation_id, created_at desc);

create table if not exists follow_up_tasks (
  id uuid primary key default gen_random_uuid(),
  conversation_id uuid not null references conversations (id) on delete cascade,
  assigned_agent_id uuid,
  follow_up_date timestamptz not null,
  reminder_type text not null default 'email',
  reminder_text text,
  priority text not null default 'medium',
  status follow_up_status not null default 'scheduled',
  completed_at timestamptz,
  completed_by uuid,
  notes text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
alter table follow_up_tasks
  add column if not exists sla_deadline timestamptz,
  add column if not exists sla_breached boolean not null default false;
create index idx_follow_up_due on follow_up_tasks (follow_up_date, status) where status in ('scheduled', 'overdue');

create table notification_logs (
  id uuid primary key default gen_random_uuid(),
  lead_event_id uuid references lead_events (id) on delete set null,
  conversation_id uuid references conversations (id) on delete cascade,
  channel notification_channel not null,
  recipient text,
  subject text,
  payload jsonb not null default '{}',
  status text not null default 'pending',
  error_message text,
  sent_at timestamptz,
  delivered_at timestamptz,
  retry_count integer not null default 0,
  created_at timestamptz not null default now()
);
create index idx_notification_logs_status on notification_logs (status, created_at);

alter table conversations
  add column metadata jsonb default '{}',
  add column idempotency_key text unique,
  add column source text default 'website',
  add column first_response_at timestamptz,
  add column sla_response_deadline timestamptz,
  add column sla_breached boolean default false,
  add column device_info jsonb default '{}';
create index idx_conversations_sla on conversations (sla_response_deadline, sla_breached) where sla_breached = false;

create function update_updated_at_column() returns trigger language plpgsql security definer set search_path = public as
  $$ begin new.updated_at = now(); return new; end $$;
create trigger update_lead_events_updated_at before update on lead_events for each row execute function update_updated_at_column();
create trigger update_follow_up_tasks_updated_at before update on follow_up_tasks for each row execute function update_updated_at_column();

create function emit_lead_event(
  p_event_type lead_event_type, p_conversation_id uuid, p_payload jsonb default '{}', p_idempotency_key text default null)
returns uuid language sql security definer set search_path = public as
  $$ insert into lead_events (event_type, conversation_id, payload, idempotency_key)
     values (p_event_type, p_conversation_id, p_payload, p_idempotency_key) returning id $$;
create function add_timeline_entry(
  p_conversation_id uuid, p_event_type timeline_event_type, p_title text, p_description text default null,
  p_actor_type text default 'system', p_actor_id text default null, p_actor_name text default null, p_metadata jsonb default '{}')
returns uuid language sql security definer set search_path = public as
  $$ insert into conversation_timeline (conversation_id, event_type, title, description, actor_type, actor_id, actor_name, metadata)
     values (
       p_conversation_id, p_event_type, p_title, p_description, p_actor_type, p_actor_id, p_actor_name, p_metadata) returning id $$;
create function update_overdue_follow_ups() returns integer language plpgsql security definer set search_path = public as
  $$ begin
    update follow_up_tasks set status = 'overdue' where status = 'scheduled' and follow_up_date < now(); return 0; end $$;
create function get_sla_breach_candidates(p_warning_minutes integer default 30)
returns table (
  conversation_id uuid, customer_name text, lead_quality text, created_at timestamptz, sla_deadline timestamptz, minutes_remaining integer)
language sql security definer set search_path = public as
  $$ select c.id, c.customer_name, c.lead_quality, c.created_at, c.sla_response_deadline, 0
     from conversations c where not c.sla_breached $$;

alter table lead_events enable row level security;
alter table conversation_timeline enable row level security;
alter table follow_up_tasks enable row level security;
alter table notification_logs enable row level security;
create policy "Admins see lead events" on lead_events for select using (has_role(auth.uid(), 'admin'));
create policy "Service role manages lead events" on lead_events for all using (auth.role() = 'service_role');
create policy "Admins see the timeline" on conversation_timeline for select using (has_role(auth.uid(), 'admin'));
create policy "Admins manage follow-ups" on follow_up_tasks for all using (has_role(auth.uid(), 'admin'));
create policy "Admins see notifications" on notification_logs for select using (has_role(auth.uid(), 'admin'));
alter publication supabase_realtime add table lead_events, conversation_timeline, follow_up_tasks, notification_logs;
comment on table lead_events is 'Events, as the website has them.';
