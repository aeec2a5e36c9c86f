-- Follow-ups that an agent has promised a customer.

create table public.follow_up_tasks (
  id uuid constraint follow_up_tasks_pkey primary key default leadpipe.uuid_v7(),
  conversation_id uuid not null
    constraint follow_up_tasks_conversation_id_fkey references public.conversations (id) on delete cascade,
  assigned_agent_id uuid
    constraint follow_up_tasks_assigned_agent_id_fkey references public.agents (id) on delete set null,
  follow_up_date timestamptz not null,
  reminder_type text not null default 'email'
    constraint follow_up_tasks_reminder_type_check check (reminder_type in ('email', 'sms', 'whatsapp', 'call')),
  reminder_text text,
  priority text not null default 'medium'
    constraint follow_up_tasks_priority_check check (priority in ('high', 'medium', 'low')),
  status public.follow_up_status not null default 'scheduled',
  completed_at timestamptz,
  completed_by uuid,
  notes text,
  sla_deadline timestamptz,
  sla_breached boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index follow_up_tasks_conversation_id_idx on public.follow_up_tasks (conversation_id);
create index follow_up_tasks_assigned_agent_id_idx on public.follow_up_tasks (assigned_agent_id);
create index follow_up_tasks_open_idx on public.follow_up_tasks (follow_up_date)
  where status in ('scheduled', 'in_progress');
create index follow_up_tasks_date_idx on public.follow_up_tasks (follow_up_date, id);
create or replace trigger follow_up_tasks_updated_at before update on public.follow_up_tasks
  for each row execute function public.update_updated_at_column();
select leadpipe.protect_table('public.follow_up_tasks');
comment on table public.follow_up_tasks is 'Follow-ups that an agent has promised a customer.';
