-- What existed before the event-driven migration, and the two tables that make capture repeatable.
-- On a database that has these tables it only adds the columns that are missing: each table is created with its key alone
-- and every column is stated once, by ADD COLUMN IF NOT EXISTS. A column that is there keeps its type and constraints.
-- May be run again at any time.

-- ── Who may do what, in one place ─────────────────────────────────────────────────────────────────────────────────────

-- clock_timestamp(), not now(): a transaction that waited for a row lock must not set the row's clock back.
create or replace function public.update_updated_at_column() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  new.updated_at := clock_timestamp();
  return new;
end
$$;

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

-- One that exists keeps its body and grants: policies that are not ours depend on them. The text comparison also serves a
-- user_roles whose role was made as text.
do $$
begin
  if to_regprocedure('public.has_role(uuid, public.app_role)') is null then
    create function public.has_role(_user_id uuid, _role public.app_role) returns boolean
    language sql stable security definer set search_path = pg_catalog, pg_temp as
      'select exists (select from public.user_roles where user_id = _user_id and role::text = _role::text)';
    revoke all on function public.has_role(uuid, public.app_role) from public, anon;
    -- A policy is evaluated with the rights of whoever queries.
    grant execute on function public.has_role(uuid, public.app_role) to authenticated, service_role;
  end if;
end
$$;

-- Every table of ours passes through here at its birth. Supabase's default privileges give new tables to anon and
-- authenticated, hence the revoke. The owner is not forced under the policies: that is how the functions reach the rows.
create or replace function public.protect_table(p_table regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute format('alter table %s enable row level security', p_table);
  execute format('revoke all on table %s from public, anon, authenticated', p_table);
  execute format('grant select on table %s to authenticated', p_table);
  execute format('grant select, insert, update, delete on table %s to service_role', p_table);
  execute format('drop policy if exists service_role_all on %s', p_table);
  execute format('create policy service_role_all on %s for all to service_role using (true) with check (true)', p_table);
  execute format('drop policy if exists admin_reads on %s', p_table);
  -- The sub-selects let the planner ask once per query instead of once per row.
  execute format('create policy admin_reads on %s for select to authenticated
                  using ((select public.has_role((select auth.uid()), ''admin''::public.app_role)))', p_table);
end
$$;

-- The same for functions: nobody but service_role and the roles named.
create or replace function public.protect_function(p_function regprocedure, variadic p_roles text[] default '{}') returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_role text;
begin
  execute format('revoke all on function %s from public, anon, authenticated', p_function);
  foreach v_role in array p_roles || 'service_role'::text loop
    execute format('grant execute on function %s to %I', p_function, v_role);
  end loop;
end
$$;

-- ── Tables that existed before ────────────────────────────────────────────────────────────────────────────────────────

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
create index if not exists conversations_created_at_idx on public.conversations (created_at desc);
create index if not exists conversations_customer_id_idx on public.conversations (customer_id);
create index if not exists conversations_assigned_agent_id_idx on public.conversations (assigned_agent_id)
  where assigned_agent_id is not null;

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
  add column if not exists updated_at timestamptz not null default now(),
  add column if not exists client_id text;
-- A browser that sends its whole history again adds only what is new.
create unique index if not exists chat_messages_conversation_id_client_id_key
  on public.chat_messages (conversation_id, client_id);
create index if not exists chat_messages_conversation_id_timestamp_idx
  on public.chat_messages (conversation_id, "timestamp", created_at);
comment on column public.chat_messages.client_id is
  'The id that the client gave the message, unique within its conversation; null where the server wrote it.';

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
create index if not exists conversation_summaries_conversation_id_idx on public.conversation_summaries (conversation_id);

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

-- ── Ours ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

create table if not exists public.customer_identities (
  kind text not null constraint customer_identities_kind_check check (kind in ('phone', 'email')),
  value text not null,
  customer_id uuid not null,
  constraint customer_identities_pkey primary key (kind, value)
);
create index if not exists customer_identities_customer_id_idx on public.customer_identities (customer_id);
comment on table public.customer_identities is
  'Which customer a phone number (E.164) or mail address (lower case) belongs to. A phone wins over a mail address.';

-- conversation_id has no foreign key: the key is taken before its conversation exists, and a key whose conversation was
-- deleted counts as absent.
create table if not exists public.idempotency_keys (
  route text not null,
  key text not null,
  body_sha256 bytea not null,
  conversation_id uuid,
  created_at timestamptz not null default now(),
  constraint idempotency_keys_pkey primary key (route, key)
);
create index if not exists idempotency_keys_created_at_idx on public.idempotency_keys (created_at);
comment on table public.idempotency_keys is
  'Requests that were answered. A repeat with the same body gets the same answer, another body is refused. Valid for 7 days.';
comment on column public.idempotency_keys.body_sha256 is 'SHA-256 of the body as jsonb text, without the key itself.';

-- ── Clocks and rights ─────────────────────────────────────────────────────────────────────────────────────────────────

do $$
declare
  v_table text;
begin
  foreach v_table in array array['agents', 'conversations', 'chat_messages', 'conversation_summaries', 'newsletter_subscribers'] loop
    execute format('create or replace trigger %1$s_updated_at before update on public.%1$s
                    for each row execute function public.update_updated_at_column()', v_table);
  end loop;

  foreach v_table in array array['user_roles', 'agents', 'conversations', 'chat_messages', 'lead_tags', 'conversation_summaries',
                                 'newsletter_subscribers', 'customer_identities', 'idempotency_keys'] loop
    perform public.protect_table(('public.' || v_table)::regclass);
  end loop;

  perform public.protect_function('public.update_updated_at_column()');
  perform public.protect_function('public.protect_table(regclass)');
  perform public.protect_function('public.protect_function(regprocedure, text[])');
end
$$;
