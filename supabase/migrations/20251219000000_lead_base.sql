-- The tables that existed before the event-driven lead architecture. If a database already has these tables, this file
-- adds missing columns and sets privileges, two policies and triggers. Existing columns keep their types and
-- constraints; 20261127000000_adopt_existing_database does the rest. This file can run again at any time.

-- Sets updated_at. Uses clock_timestamp(), not now(), because a transaction that waited for a row lock must not move
-- updated_at backwards.
create or replace function public.update_updated_at_column() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  new.updated_at := clock_timestamp();
  return new;
end
$$;
revoke all on function public.update_updated_at_column() from public, anon, authenticated;
grant execute on function public.update_updated_at_column() to service_role;

do $$
begin
  create type public.app_role as enum ('admin', 'moderator', 'user');
exception when duplicate_object then null;
end
$$;

create table if not exists public.user_roles (
  id uuid constraint user_roles_pkey primary key default gen_random_uuid()
);
alter table public.user_roles
  add column if not exists user_id uuid not null,
  add column if not exists role public.app_role not null;
create unique index if not exists user_roles_user_id_role_key on public.user_roles (user_id, role);

-- An existing has_role is kept, because its arguments may have other names. Compares as text, because in some projects
-- the column user_roles.role has type text.
do $do$
begin
  if to_regprocedure('public.has_role(uuid, public.app_role)') is null then
    create function public.has_role(_user_id uuid, _role public.app_role) returns boolean
    language sql stable security definer set search_path = pg_catalog, pg_temp as
      $$ select exists (select from public.user_roles where user_id = _user_id and role::text = _role::text) $$;
    revoke all on function public.has_role(uuid, public.app_role) from public, anon;
    -- A policy runs with the privileges of the querying role.
    grant execute on function public.has_role(uuid, public.app_role) to authenticated, service_role;
  end if;
end
$do$;

create table if not exists public.agents (
  id uuid constraint agents_pkey primary key default gen_random_uuid()
);
alter table public.agents
  add column if not exists name text not null,
  add column if not exists email text constraint agents_email_key unique,
  add column if not exists phone text,
  add column if not exists department text,
  add column if not exists photo_url text,
  add column if not exists status text not null default 'available',
  add column if not exists max_capacity integer not null default 15,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now();

create table if not exists public.conversations (
  id uuid constraint conversations_pkey primary key default gen_random_uuid()
);
alter table public.conversations
  add column if not exists customer_id uuid,
  add column if not exists customer_name text,
  add column if not exists customer_phone text,
  add column if not exists customer_email text,
  add column if not exists start_time timestamptz default now(),
  add column if not exists end_time timestamptz,
  add column if not exists duration_minutes integer,
  add column if not exists status text not null default 'new'
    constraint conversations_status_check check (status in ('new', 'in-progress', 'completed', 'lost', 'converted')),
  add column if not exists lead_score integer not null default 0
    constraint conversations_lead_score_check check (lead_score between 0 and 100),
  add column if not exists lead_quality text not null default 'cold'
    constraint conversations_lead_quality_check check (lead_quality in ('hot', 'warm', 'cold')),
  add column if not exists budget text,
  add column if not exists property_type text,
  add column if not exists preferred_area text,
  add column if not exists intent text,
  add column if not exists assigned_agent_id uuid
    constraint conversations_assigned_agent_id_fkey references public.agents (id) on delete set null,
  add column if not exists tags text[] not null default '{}',
  add column if not exists notes text,
  add column if not exists conversation_summary text,
  add column if not exists follow_up_date timestamptz,
  add column if not exists outcome text,
  add column if not exists conversion_value numeric,
  add column if not exists lead_score_breakdown jsonb,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now();

create table if not exists public.chat_messages (
  id uuid constraint chat_messages_pkey primary key default gen_random_uuid()
);
alter table public.chat_messages
  add column if not exists conversation_id uuid not null
    constraint chat_messages_conversation_id_fkey references public.conversations (id) on delete cascade,
  add column if not exists sender text not null
    constraint chat_messages_sender_check check (sender in ('bot', 'customer', 'agent')),
  add column if not exists message_text text not null,
  add column if not exists message_type text not null default 'text',
  add column if not exists "timestamp" timestamptz not null default now(),
  add column if not exists is_read boolean not null default false,
  add column if not exists metadata jsonb,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now();

create table if not exists public.lead_tags (
  id uuid constraint lead_tags_pkey primary key default gen_random_uuid()
);
alter table public.lead_tags
  add column if not exists conversation_id uuid not null
    constraint lead_tags_conversation_id_fkey references public.conversations (id) on delete cascade,
  add column if not exists tag_name text not null,
  add column if not exists is_auto_generated boolean not null default false,
  add column if not exists created_at timestamptz not null default now();
create unique index if not exists lead_tags_conversation_id_tag_name_key on public.lead_tags (conversation_id, tag_name);

create table if not exists public.conversation_summaries (
  id uuid constraint conversation_summaries_pkey primary key default gen_random_uuid()
);
alter table public.conversation_summaries
  add column if not exists conversation_id uuid not null
    constraint conversation_summaries_conversation_id_fkey references public.conversations (id) on delete cascade,
  add column if not exists summary text,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now();

create table if not exists public.newsletter_subscribers (
  id uuid constraint newsletter_subscribers_pkey primary key default gen_random_uuid()
);
alter table public.newsletter_subscribers
  add column if not exists email text not null,
  add column if not exists subscribed_at timestamptz not null default now(),
  add column if not exists status text not null default 'active'
    constraint newsletter_subscribers_status_check check (status in ('active', 'unsubscribed')),
  add column if not exists source text,
  add column if not exists ip_address text,
  add column if not exists user_agent text,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now();
create unique index if not exists newsletter_subscribers_email_key on public.newsletter_subscribers (lower(email));

-- Row-level security: service_role has full access, administrators can read, and all other roles have no access.
-- Supabase's old default privileges grant all rights on new tables, hence the revoke. The sub-selects in the policy let
-- the planner check the role once per query instead of once per row.
do $$
declare
  v_table text;
begin
  foreach v_table in array array['user_roles', 'agents', 'conversations', 'chat_messages', 'lead_tags', 'conversation_summaries',
                                 'newsletter_subscribers'] loop
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

  foreach v_table in array array['agents', 'conversations', 'chat_messages', 'conversation_summaries', 'newsletter_subscribers'] loop
    execute format('create or replace trigger %1$s_updated_at before update on public.%1$s
                    for each row execute function public.update_updated_at_column()', v_table);
  end loop;
end
$$;
