-- The website's chat: conversations with looser columns than Leadpipe's, and policies that let every user in.
create table agents (
  id uuid primary key default uuid_generate_v4(),
  name text not null,
  email text not null unique,
  phone text,
  department text,
  photo_url text,
  status text default 'available',
  max_capacity int default 15,
  created_at timestamptz default timezone('utc', now()),
  updated_at timestamptz default timezone('utc', now())
);
create table conversations (
  id uuid primary key default uuid_generate_v4(),
  customer_id uuid not null,
  customer_name text not null,
  customer_phone text,
  customer_email text,
  start_time timestamptz not null default timezone('utc', now()),
  end_time timestamptz,
  duration_minutes int,
  status text not null default 'new',
  lead_score int default 0,
  lead_quality text default 'cold',
  budget text,
  property_type text,
  preferred_area text,
  intent text,
  assigned_agent_id uuid references agents (id),
  tags text[] default '{}',
  notes text,
  conversation_summary text,
  follow_up_date timestamptz,
  outcome text,
  conversion_value numeric,
  lead_score_breakdown jsonb,
  created_at timestamptz default timezone('utc', now()),
  updated_at timestamptz default timezone('utc', now())
);
create table chat_messages (
  id uuid primary key default uuid_generate_v4(),
  conversation_id uuid not null references conversations (id) on delete cascade,
  sender text not null,
  message_text text not null,
  message_type text default 'text',
  timestamp timestamptz not null default timezone('utc', now()),
  is_read boolean default false,
  metadata jsonb,
  created_at timestamptz default timezone('utc', now()),
  updated_at timestamptz default timezone('utc', now())
);
create table lead_tags (
  id uuid primary key default uuid_generate_v4(),
  conversation_id uuid not null references conversations (id) on delete cascade,
  tag_name text not null,
  is_auto_generated boolean default true,
  created_at timestamptz default timezone('utc', now()),
  unique (conversation_id, tag_name)
);
create table conversation_summaries (
  id uuid primary key default uuid_generate_v4(),
  conversation_id uuid not null references conversations (id) on delete cascade,
  summary_text text,
  total_messages int,
  actions_taken text[],
  generated_at timestamptz default timezone('utc', now()),
  created_at timestamptz default timezone('utc', now()),
  updated_at timestamptz default timezone('utc', now())
);
create table follow_up_tasks (
  id uuid primary key default uuid_generate_v4(),
  conversation_id uuid not null references conversations (id) on delete cascade,
  assigned_agent_id uuid references agents (id),
  priority text not null default 'high',
  follow_up_date timestamptz not null,
  reminder_type text not null default 'email',
  reminder_text text,
  status text not null default 'scheduled',
  created_at timestamptz default timezone('utc', now()),
  updated_at timestamptz default timezone('utc', now())
);
create index conversations_status_idx on conversations (status);
create index conversations_created_idx on conversations (created_at);
create index conversations_lead_score_idx on conversations (lead_score);
create index chat_messages_conversation_idx on chat_messages (conversation_id);

-- agents has no row-level security.
alter table conversations enable row level security;
alter table chat_messages enable row level security;
alter table conversation_summaries enable row level security;
alter table follow_up_tasks enable row level security;
alter table lead_tags enable row level security;
create policy conversations_select_admin on conversations for select using (auth.role() = 'authenticated');
create policy conversations_modify_admin on conversations for all using (
  exists (select 1 from user_roles r where r.user_id = auth.uid() and r.role = 'admin'));
create policy chat_messages_select on chat_messages for select using (auth.uid() is not null);

create function fetch_conversation_analytics(
  date_from timestamptz default timezone('utc', now()) - interval '7 days', date_to timestamptz default timezone('utc', now()))
returns json language plpgsql security definer as
  $$ begin
    return (select json_build_object('total', count(*)) from public.conversations
      where created_at between date_from and date_to); end $$;
-- A view reads with its owner's rights.
create view open_leads as select customer_name, customer_phone from conversations where status = 'new';
grant select on open_leads to anon;
-- This function and this view name no table.
create function leads_report() returns json language sql security definer as $$ select public.Fetch_Conversation_Analytics() $$;
create view lead_names as select customer_name from open_leads;
grant select (customer_name) on lead_names to anon, authenticated;
-- A security definer function can read a table through a function that has its caller's rights.
create function latest_lead() returns text language sql as $$ select customer_name from conversations order by created_at desc limit 1 $$;
create function greet_latest_lead() returns text language sql security definer set search_path = public as $$ select 'Hello ' || latest_lead() $$;
-- This one calls only what a policy calls. It stays open.
create function may_edit() returns boolean language sql security definer set search_path = public as $$ select is_editor() $$;
alter publication supabase_realtime add table chat_messages, conversations (id, status);
