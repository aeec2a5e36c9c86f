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
  updated_at timestamptz not null default now(),
  reminded_for timestamptz,
  notify_customer boolean not null default false
);
create index follow_up_tasks_conversation_id_idx on public.follow_up_tasks (conversation_id);
create index follow_up_tasks_assigned_agent_id_idx on public.follow_up_tasks (assigned_agent_id);
create index follow_up_tasks_open_idx on public.follow_up_tasks (follow_up_date)
  where status in ('scheduled', 'in_progress');
-- The follow-ups whose agent has not been reminded of their present time.
create index follow_up_tasks_due_idx on public.follow_up_tasks (follow_up_date)
  where status in ('scheduled', 'in_progress', 'overdue') and reminded_for is distinct from follow_up_date;
create index follow_up_tasks_date_idx on public.follow_up_tasks (follow_up_date, id);
create or replace trigger follow_up_tasks_updated_at before update on public.follow_up_tasks
  for each row execute function public.update_updated_at_column();
select leadpipe.protect_table('public.follow_up_tasks');
comment on table public.follow_up_tasks is 'Follow-ups that an agent has promised a customer.';
comment on column public.follow_up_tasks.status is 'Open: scheduled, in_progress, and overdue, which the sweep sets when the time has passed.';
comment on column public.follow_up_tasks.reminded_for is 'The follow_up_date that the agent has been reminded of.';
comment on column public.follow_up_tasks.notify_customer is 'True if the customer was to be notified too, for which this version has no provider.';

-- The state of the follow-up sweep (docs/how-to/follow-up-reminders.md): one row, whose lock lets one sweep run at a
-- time. Only functions read it and the next table.
create table leadpipe.follow_up_sweep (
  is_only boolean constraint follow_up_sweep_pkey primary key default true
    constraint follow_up_sweep_is_only_check check (is_only),
  digested_on date
);
revoke all on table leadpipe.follow_up_sweep from public, anon, authenticated, service_role;
comment on column leadpipe.follow_up_sweep.digested_on is 'The latest day, in the agency''s time zone, whose digests have been made.';

-- How many reminders each agent may still get now, and those that the next summary reports. The recipient is
-- agents.id, or zero for the office. There is no foreign key: the sweep sums up for the office what a deleted agent was
-- to be reminded of.
create table leadpipe.follow_up_reminders (
  recipient uuid constraint follow_up_reminders_pkey primary key,
  own_left double precision not null,
  own_at timestamptz not null,
  summed integer not null default 0,
  oldest timestamptz,
  summed_at timestamptz not null default '-infinity'
);
revoke all on table leadpipe.follow_up_reminders from public, anon, authenticated, service_role;
comment on column leadpipe.follow_up_reminders.own_left is 'How many reminders could have a message of their own at own_at.';
comment on column leadpipe.follow_up_reminders.summed is 'How many reminders the next summary reports.';
comment on column leadpipe.follow_up_reminders.oldest is 'The earliest time of these follow-ups.';
comment on column leadpipe.follow_up_reminders.summed_at is 'When the last summary was emitted.';
