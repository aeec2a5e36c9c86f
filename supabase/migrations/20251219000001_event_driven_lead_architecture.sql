-- Events, timeline, follow-ups and notifications: the deployment checklist's four tables, and the columns that it adds
-- to conversations. This file only adds, and can run again at any time, including after the checklist's clean-up.

do $$
begin
  create type public.lead_event_type as enum (
    'lead.created', 'lead.updated', 'lead.qualified', 'lead.assigned', 'lead.contacted', 'lead.follow_up_scheduled',
    'lead.follow_up_completed', 'lead.converted', 'lead.lost', 'notification.sent', 'notification.failed',
    'notification.delivered', 'sla.warning', 'sla.breached');
exception when duplicate_object then null;
end
$$;

do $$
begin
  create type public.notification_channel as enum ('slack', 'email', 'telegram', 'whatsapp', 'sms', 'push', 'webhook');
exception when duplicate_object then null;
end
$$;

do $$
begin
  create type public.timeline_event_type as enum (
    'created', 'status_changed', 'assigned', 'note_added', 'follow_up_scheduled', 'follow_up_completed', 'notification_sent',
    'customer_contacted', 'property_viewed', 'document_shared', 'meeting_scheduled', 'call_logged', 'email_sent',
    'sla_warning', 'sla_breached');
exception when duplicate_object then null;
end
$$;

do $$
begin
  create type public.follow_up_status as enum ('scheduled', 'in_progress', 'completed', 'cancelled', 'overdue');
exception when duplicate_object then null;
end
$$;

alter table public.conversations
  add column if not exists metadata jsonb,
  add column if not exists idempotency_key text constraint conversations_idempotency_key_key unique,
  add column if not exists source text default 'website',
  add column if not exists first_response_at timestamptz,
  add column if not exists sla_response_deadline timestamptz,
  add column if not exists sla_breached boolean not null default false,
  add column if not exists device_info jsonb;

create table if not exists public.lead_events (
  id uuid constraint lead_events_pkey primary key default gen_random_uuid()
);
alter table public.lead_events
  add column if not exists event_type public.lead_event_type not null,
  add column if not exists conversation_id uuid
    constraint lead_events_conversation_id_fkey references public.conversations (id) on delete cascade,
  add column if not exists payload jsonb not null default '{}',
  add column if not exists processed boolean not null default false,
  add column if not exists processed_at timestamptz,
  add column if not exists retry_count integer not null default 0,
  add column if not exists max_retries integer not null default 3,
  add column if not exists last_error text,
  add column if not exists idempotency_key text constraint lead_events_idempotency_key_key unique,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now();

create table if not exists public.conversation_timeline (
  id uuid constraint conversation_timeline_pkey primary key default gen_random_uuid()
);
alter table public.conversation_timeline
  add column if not exists conversation_id uuid not null
    constraint conversation_timeline_conversation_id_fkey references public.conversations (id) on delete cascade,
  add column if not exists event_type public.timeline_event_type not null,
  add column if not exists title text not null,
  add column if not exists description text,
  add column if not exists actor_type text not null default 'system'
    constraint conversation_timeline_actor_type_check check (actor_type in ('system', 'agent', 'customer', 'bot')),
  add column if not exists actor_id uuid,
  add column if not exists actor_name text,
  add column if not exists metadata jsonb not null default '{}',
  add column if not exists created_at timestamptz not null default now();

create table if not exists public.follow_up_tasks (
  id uuid constraint follow_up_tasks_pkey primary key default gen_random_uuid()
);
alter table public.follow_up_tasks
  add column if not exists conversation_id uuid not null
    constraint follow_up_tasks_conversation_id_fkey references public.conversations (id) on delete cascade,
  add column if not exists assigned_agent_id uuid
    constraint follow_up_tasks_assigned_agent_id_fkey references public.agents (id) on delete set null,
  add column if not exists follow_up_date timestamptz not null,
  add column if not exists reminder_type text not null default 'email'
    constraint follow_up_tasks_reminder_type_check check (reminder_type in ('email', 'sms', 'whatsapp', 'call')),
  add column if not exists reminder_text text,
  add column if not exists priority text not null default 'medium'
    constraint follow_up_tasks_priority_check check (priority in ('high', 'medium', 'low')),
  add column if not exists status public.follow_up_status not null default 'scheduled',
  add column if not exists completed_at timestamptz,
  add column if not exists completed_by uuid,
  add column if not exists notes text,
  add column if not exists sla_deadline timestamptz,
  add column if not exists sla_breached boolean not null default false,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now();

create table if not exists public.notification_logs (
  id uuid constraint notification_logs_pkey primary key default gen_random_uuid()
);
alter table public.notification_logs
  add column if not exists lead_event_id uuid not null
    constraint notification_logs_lead_event_id_fkey references public.lead_events (id) on delete cascade,
  add column if not exists conversation_id uuid
    constraint notification_logs_conversation_id_fkey references public.conversations (id) on delete cascade,
  add column if not exists channel public.notification_channel not null,
  add column if not exists recipient text,
  add column if not exists subject text,
  add column if not exists payload jsonb,
  add column if not exists status text not null default 'pending'
    constraint notification_logs_status_check check (status in ('pending', 'sending', 'sent', 'delivered', 'failed')),
  add column if not exists error_message text,
  add column if not exists sent_at timestamptz,
  add column if not exists delivered_at timestamptz,
  add column if not exists retry_count integer not null default 0,
  add column if not exists created_at timestamptz not null default now();

-- Row-level security and the updated_at triggers, as in 20251219000000_lead_base.sql.
do $$
declare
  v_table text;
begin
  foreach v_table in array array['lead_events', 'conversation_timeline', 'follow_up_tasks', 'notification_logs'] loop
    execute format('alter table public.%I enable row level security', v_table);
    execute format('revoke all on table public.%I from public, anon, authenticated, service_role', v_table);
    execute format('grant select on table public.%I to authenticated', v_table);
    execute format('grant select, insert, update, delete on table public.%I to service_role', v_table);
    execute format('drop policy if exists service_role_all on public.%I', v_table);
    execute format('create policy service_role_all on public.%I for all to service_role using (true) with check (true)', v_table);
    execute format('drop policy if exists admin_reads on public.%I', v_table);
    execute format('create policy admin_reads on public.%I for select to authenticated
                    using ((select public.has_role((select auth.uid()), ''admin''::public.app_role)))', v_table);
  end loop;

  foreach v_table in array array['lead_events', 'follow_up_tasks'] loop
    execute format('create or replace trigger %1$s_updated_at before update on public.%1$s
                    for each row execute function public.update_updated_at_column()', v_table);
  end loop;
end
$$;
