-- Conversations with their messages, tags, summaries and timelines.

create table public.conversations (
  id uuid constraint conversations_pkey primary key default leadpipe.uuid_v7(),
  customer_id uuid,
  customer_name text,
  customer_phone text,
  customer_email text,
  start_time timestamptz default now(),
  end_time timestamptz,
  duration_minutes integer,
  status text not null default 'new'
    constraint conversations_status_check check (status in ('new', 'in-progress', 'completed', 'lost', 'converted', 'spam')),
  lead_score integer not null default 0
    constraint conversations_lead_score_check check (lead_score between 0 and 100),
  lead_quality text not null default 'cold'
    constraint conversations_lead_quality_check check (lead_quality in ('hot', 'warm', 'cold')),
  budget text,
  property_type text,
  preferred_area text,
  intent text,
  assigned_agent_id uuid
    constraint conversations_assigned_agent_id_fkey references public.agents (id) on delete set null,
  tags text[] not null default '{}',
  notes text,
  conversation_summary text,
  follow_up_date timestamptz,
  outcome text,
  conversion_value numeric,
  lead_score_breakdown jsonb,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  metadata jsonb,
  idempotency_key text constraint conversations_idempotency_key_key unique,
  source text default 'website',
  first_response_at timestamptz,
  sla_response_deadline timestamptz,
  sla_breached boolean not null default false,
  device_info jsonb,
  budget_amount double precision,
  budget_min double precision,
  budget_max double precision,
  budget_currency text,
  budget_period text,
  erased_at timestamptz,
  sla_warned_for timestamptz
);
create index conversations_created_at_idx on public.conversations (created_at desc);
create index conversations_customer_id_idx on public.conversations (customer_id);
create index conversations_assigned_agent_id_idx on public.conversations (assigned_agent_id)
  where assigned_agent_id is not null;
create index conversations_sla_open_idx on public.conversations (sla_response_deadline)
  where first_response_at is null and status not in ('completed', 'lost', 'converted');
-- For the SLA sweep: the deadlines whose breach has not been emitted, by whether their warning has been.
create index conversations_sla_due_idx on public.conversations
  ((coalesce(sla_warned_for = sla_response_deadline, false)), lead_quality, sla_response_deadline)
  where first_response_at is null and status not in ('completed', 'lost', 'converted') and not sla_breached
    and sla_response_deadline > created_at;
create index conversations_sla_breached_idx on public.conversations (created_at desc) where sla_breached;
-- For the assignment: overdue conversations without an agent, and the open ones of each agent. A new lead is in neither.
create index conversations_waiting_idx on public.conversations (lead_quality, sla_response_deadline)
  where sla_breached and assigned_agent_id is null and first_response_at is null and status not in ('completed', 'lost', 'converted');
create index conversations_open_agent_idx on public.conversations (assigned_agent_id)
  where assigned_agent_id is not null and status in ('new', 'in-progress');
-- The index by score is for the sort orders hot, warm and cold. The one by follow-up date is partial, because few
-- conversations have a follow-up.
create index conversations_lead_score_idx on public.conversations (lead_score, created_at);
create index conversations_follow_up_date_idx on public.conversations (follow_up_date) where follow_up_date is not null;
-- For retention. No open lead is in it, so that a capture writes no entry. Erasing removes the customer; one who writes
-- again has it again.
create index conversations_closed_idx on public.conversations (created_at, id)
  where (erased_at is null or customer_id is not null) and status in ('completed', 'lost', 'converted', 'spam');
-- For the figures, which leave out what is kept aside as a robot's.
create index conversations_spam_idx on public.conversations (created_at) where status = 'spam';
-- A warning changes nothing that clients read, so it does not refuse their changes as outdated.
create or replace trigger conversations_updated_at before update on public.conversations
  for each row when (old.sla_warned_for is not distinct from new.sla_warned_for) execute function public.update_updated_at_column();
select leadpipe.protect_table('public.conversations');
comment on column public.conversations.budget_amount is
  'The amount by which the budget is scored and sorted, in dirhams, for a year if a period is written; null if the budget contains none.';
comment on column public.conversations.erased_at is 'When the personal data in the row was erased.';
comment on column public.conversations.sla_warned_for is 'The deadline of the latest sla.warning; null if there was none.';
comment on column public.conversations.idempotency_key is 'route:key of the request that created the row.';

create table public.chat_messages (
  id uuid constraint chat_messages_pkey primary key default leadpipe.uuid_v7(),
  conversation_id uuid not null
    constraint chat_messages_conversation_id_fkey references public.conversations (id) on delete cascade,
  sender text not null
    constraint chat_messages_sender_check check (sender in ('bot', 'customer', 'agent')),
  message_text text not null,
  message_type text not null default 'text',
  "timestamp" timestamptz not null default now(),
  is_read boolean not null default false,
  metadata jsonb,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  client_id text
);
-- If a browser sends its whole history again, only new messages are added.
create unique index chat_messages_conversation_id_client_id_key
  on public.chat_messages (conversation_id, client_id);
create index chat_messages_conversation_id_timestamp_idx
  on public.chat_messages (conversation_id, "timestamp", created_at);
create or replace trigger chat_messages_updated_at before update on public.chat_messages
  for each row execute function public.update_updated_at_column();
select leadpipe.protect_table('public.chat_messages');
comment on column public.chat_messages.client_id is
  'The id that the client gave the message, unique within its conversation; null if the server created the message.';

create table public.lead_tags (
  id uuid constraint lead_tags_pkey primary key default leadpipe.uuid_v7(),
  conversation_id uuid not null
    constraint lead_tags_conversation_id_fkey references public.conversations (id) on delete cascade,
  tag_name text not null,
  is_auto_generated boolean not null default false,
  created_at timestamptz not null default now()
);
create unique index lead_tags_conversation_id_tag_name_key on public.lead_tags (conversation_id, tag_name);
select leadpipe.protect_table('public.lead_tags');

create table public.conversation_summaries (
  id uuid constraint conversation_summaries_pkey primary key default leadpipe.uuid_v7(),
  conversation_id uuid not null
    constraint conversation_summaries_conversation_id_fkey references public.conversations (id) on delete cascade,
  summary text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index conversation_summaries_conversation_id_idx on public.conversation_summaries (conversation_id);
create or replace trigger conversation_summaries_updated_at before update on public.conversation_summaries
  for each row execute function public.update_updated_at_column();
select leadpipe.protect_table('public.conversation_summaries');

create table public.conversation_timeline (
  id uuid constraint conversation_timeline_pkey primary key default leadpipe.uuid_v7(),
  conversation_id uuid not null
    constraint conversation_timeline_conversation_id_fkey references public.conversations (id) on delete cascade,
  event_type public.timeline_event_type not null,
  title text not null,
  description text,
  actor_type text not null default 'system'
    constraint conversation_timeline_actor_type_check check (actor_type in ('system', 'agent', 'customer', 'bot')),
  actor_id uuid,
  actor_name text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create index conversation_timeline_conversation_id_idx
  on public.conversation_timeline (conversation_id, created_at desc);
select leadpipe.protect_table('public.conversation_timeline');
comment on table public.conversation_timeline is 'The history of each conversation in human-readable form.';
