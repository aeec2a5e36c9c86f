-- Brings the tables of 20251219000000_lead_base and 20251219000001_event_driven_lead_architecture to the same
-- definitions and privileges, whatever the database contains: only these two files, a project that had tables with
-- these names before, or a project whose own migrations have these two version numbers. It examines the database, not
-- the ledger. It changes nothing if the tables are as the two files create them. It can run again at any time, and
-- creates tables that a rollback has dropped.
--
-- No row is lost:
-- - The type of a column is changed if the new type can read every value. Otherwise, a nullable column keeps its old
--   values in NAME_before_leadpipe, and any other column stops the migration.
-- - A column that is not in the two files is kept. So is a foreign key to a table that is not in them.
-- - A null in a column that must have a value becomes the column's default.
-- - A table whose name Leadpipe needs for another table is renamed to NAME_before_leadpipe, and only its owner can read
--   it. A notification_logs with rows is renamed too, because a worker cannot process its rows as deliveries.
-- - An existing event causes no new notifications if it was processed, is older than 72 hours, or has a type that never
--   causes any.
--
-- Everything that gives other roles access to these tables is removed: policies, grants, EXECUTE on SECURITY DEFINER
-- functions, views, and Supabase Realtime except for the tables that 20261127120000_live publishes.

set statement_timeout = '1h';

drop schema if exists leadpipe_adopt cascade;
create schema leadpipe_adopt;

-- The target definitions ("shape"), in a schema of their own that this file drops at its end.
create type leadpipe_adopt.app_role as enum ('admin', 'moderator', 'user');
create type leadpipe_adopt.lead_event_type as enum (
  'lead.created', 'lead.updated', 'lead.qualified', 'lead.assigned', 'lead.contacted', 'lead.follow_up_scheduled',
  'lead.follow_up_completed', 'lead.converted', 'lead.lost', 'notification.sent', 'notification.failed',
  'notification.delivered', 'sla.warning', 'sla.breached');
create type leadpipe_adopt.notification_channel as enum ('slack', 'email', 'telegram', 'whatsapp', 'sms', 'push', 'webhook');
create type leadpipe_adopt.timeline_event_type as enum (
  'created', 'status_changed', 'assigned', 'note_added', 'follow_up_scheduled', 'follow_up_completed', 'notification_sent',
  'customer_contacted', 'property_viewed', 'document_shared', 'meeting_scheduled', 'call_logged', 'email_sent',
  'sla_warning', 'sla_breached');
create type leadpipe_adopt.follow_up_status as enum ('scheduled', 'in_progress', 'completed', 'cancelled', 'overdue');

create table leadpipe_adopt.user_roles (
  id uuid constraint user_roles_pkey primary key default gen_random_uuid(),
  user_id uuid not null,
  role leadpipe_adopt.app_role not null
);
create unique index user_roles_user_id_role_key on leadpipe_adopt.user_roles (user_id, role);

create table leadpipe_adopt.agents (
  id uuid constraint agents_pkey primary key default gen_random_uuid(),
  name text not null,
  email text constraint agents_email_key unique,
  phone text,
  department text,
  photo_url text,
  status text not null default 'available',
  max_capacity integer not null default 15,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table leadpipe_adopt.conversations (
  id uuid constraint conversations_pkey primary key default gen_random_uuid(),
  customer_id uuid,
  customer_name text,
  customer_phone text,
  customer_email text,
  start_time timestamptz default now(),
  end_time timestamptz,
  duration_minutes integer,
  status text not null default 'new'
    constraint conversations_status_check check (status in ('new', 'in-progress', 'completed', 'lost', 'converted')),
  lead_score integer not null default 0 constraint conversations_lead_score_check check (lead_score between 0 and 100),
  lead_quality text not null default 'cold'
    constraint conversations_lead_quality_check check (lead_quality in ('hot', 'warm', 'cold')),
  budget text,
  property_type text,
  preferred_area text,
  intent text,
  assigned_agent_id uuid
    constraint conversations_assigned_agent_id_fkey references leadpipe_adopt.agents (id) on delete set null,
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
  budget_period text
);

create table leadpipe_adopt.chat_messages (
  id uuid constraint chat_messages_pkey primary key default gen_random_uuid(),
  conversation_id uuid not null
    constraint chat_messages_conversation_id_fkey references leadpipe_adopt.conversations (id) on delete cascade,
  sender text not null constraint chat_messages_sender_check check (sender in ('bot', 'customer', 'agent')),
  message_text text not null,
  message_type text not null default 'text',
  "timestamp" timestamptz not null default now(),
  is_read boolean not null default false,
  metadata jsonb,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table leadpipe_adopt.lead_tags (
  id uuid constraint lead_tags_pkey primary key default gen_random_uuid(),
  conversation_id uuid not null
    constraint lead_tags_conversation_id_fkey references leadpipe_adopt.conversations (id) on delete cascade,
  tag_name text not null,
  is_auto_generated boolean not null default false,
  created_at timestamptz not null default now()
);
create unique index lead_tags_conversation_id_tag_name_key on leadpipe_adopt.lead_tags (conversation_id, tag_name);

create table leadpipe_adopt.conversation_summaries (
  id uuid constraint conversation_summaries_pkey primary key default gen_random_uuid(),
  conversation_id uuid not null
    constraint conversation_summaries_conversation_id_fkey references leadpipe_adopt.conversations (id) on delete cascade,
  summary text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table leadpipe_adopt.newsletter_subscribers (
  id uuid constraint newsletter_subscribers_pkey primary key default gen_random_uuid(),
  email text not null,
  subscribed_at timestamptz not null default now(),
  status text not null default 'active'
    constraint newsletter_subscribers_status_check check (status in ('active', 'unsubscribed')),
  source text,
  ip_address text,
  user_agent text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create unique index newsletter_subscribers_email_key on leadpipe_adopt.newsletter_subscribers (lower(email));

create table leadpipe_adopt.lead_events (
  id uuid constraint lead_events_pkey primary key default gen_random_uuid(),
  event_type leadpipe_adopt.lead_event_type not null,
  conversation_id uuid
    constraint lead_events_conversation_id_fkey references leadpipe_adopt.conversations (id) on delete cascade,
  payload jsonb not null default '{}',
  processed boolean not null default false,
  processed_at timestamptz,
  retry_count integer not null default 0,
  max_retries integer not null default 3,
  last_error text,
  idempotency_key text constraint lead_events_idempotency_key_key unique,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table leadpipe_adopt.conversation_timeline (
  id uuid constraint conversation_timeline_pkey primary key default gen_random_uuid(),
  conversation_id uuid not null
    constraint conversation_timeline_conversation_id_fkey references leadpipe_adopt.conversations (id) on delete cascade,
  event_type leadpipe_adopt.timeline_event_type not null,
  title text not null,
  description text,
  actor_type text not null default 'system'
    constraint conversation_timeline_actor_type_check check (actor_type in ('system', 'agent', 'customer', 'bot')),
  actor_id uuid,
  actor_name text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now()
);

create table leadpipe_adopt.follow_up_tasks (
  id uuid constraint follow_up_tasks_pkey primary key default gen_random_uuid(),
  conversation_id uuid not null
    constraint follow_up_tasks_conversation_id_fkey references leadpipe_adopt.conversations (id) on delete cascade,
  assigned_agent_id uuid
    constraint follow_up_tasks_assigned_agent_id_fkey references leadpipe_adopt.agents (id) on delete set null,
  follow_up_date timestamptz not null,
  reminder_type text not null default 'email'
    constraint follow_up_tasks_reminder_type_check check (reminder_type in ('email', 'sms', 'whatsapp', 'call')),
  reminder_text text,
  priority text not null default 'medium'
    constraint follow_up_tasks_priority_check check (priority in ('high', 'medium', 'low')),
  status leadpipe_adopt.follow_up_status not null default 'scheduled',
  completed_at timestamptz,
  completed_by uuid,
  notes text,
  sla_deadline timestamptz,
  sla_breached boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table leadpipe_adopt.notification_logs (
  id uuid constraint notification_logs_pkey primary key default gen_random_uuid(),
  lead_event_id uuid not null
    constraint notification_logs_lead_event_id_fkey references leadpipe_adopt.lead_events (id) on delete cascade,
  conversation_id uuid
    constraint notification_logs_conversation_id_fkey references leadpipe_adopt.conversations (id) on delete cascade,
  channel leadpipe_adopt.notification_channel not null,
  recipient text,
  subject text,
  payload jsonb,
  status text not null default 'pending'
    constraint notification_logs_status_check check (status in ('pending', 'sending', 'sent', 'delivered', 'failed')),
  error_message text,
  sent_at timestamptz,
  delivered_at timestamptz,
  retry_count integer not null default 0,
  created_at timestamptz not null default now()
);

-- The tables that later files create.
create view leadpipe_adopt.later_tables as
  select unnest(array['admin_keys', 'admin_sessions', 'conversation_changes', 'conversation_words', 'customer_identities',
                      'idempotency_keys', 'known_words', 'notification_attempts', 'notification_channels', 'workers']) as table_name;

-- The objects of both schemas, described as if they were in `public`. The functions below have none of our schemas in
-- their search path, so the definitions from the catalog name the schema of every object.
create view leadpipe_adopt.our_tables as
  select relname as table_name, oid as shape, to_regclass('public.' || quote_ident(relname)) as standing
  from pg_catalog.pg_class where relnamespace = 'leadpipe_adopt'::regnamespace and relkind = 'r';

create view leadpipe_adopt.columns as
  select attrelid as table_id, attname as column_name, attnum as position, attnotnull as is_required,
    replace(pg_catalog.format_type(atttypid, atttypmod), 'leadpipe_adopt.', 'public.') as type,
    replace(pg_catalog.pg_get_expr(adbin, adrelid), 'leadpipe_adopt.', 'public.') as fallback
  from pg_catalog.pg_attribute left join pg_catalog.pg_attrdef on adrelid = attrelid and adnum = attnum
  where attnum > 0 and not attisdropped;

create view leadpipe_adopt.constraints as
  select conrelid as table_id, conname as name, contype as kind, confrelid as target,
    replace(pg_catalog.pg_get_constraintdef(oid), 'leadpipe_adopt.', 'public.') as definition
  from pg_catalog.pg_constraint where contype in ('p', 'u', 'c', 'f', 'x');

create view leadpipe_adopt.indexes as
  select indrelid as table_id, relname as name,
    replace(pg_catalog.pg_get_indexdef(indexrelid), 'leadpipe_adopt.', 'public.') as definition
  from pg_catalog.pg_index join pg_catalog.pg_class on pg_class.oid = indexrelid
  where not exists (select from pg_catalog.pg_constraint where conindid = indexrelid and contype in ('p', 'u', 'x'));

-- The functions that policies call, and the roles for which the policies apply.
create view leadpipe_adopt.called_by_policies as
  select refobjid as function, r.name as caller, min(polrelid::regclass::text) as guarded
  from pg_catalog.pg_policy join pg_catalog.pg_depend on classid = 'pg_catalog.pg_policy'::regclass and objid = pg_policy.oid
  join unnest(array['anon', 'authenticated']) as r (name) on polroles && array[0::oid, r.name::regrole::oid]
  where refclassid = 'pg_catalog.pg_proc'::regclass
  group by refobjid, r.name;

-- The routines and views of public. `is_definer` is true for those that run with their owner's privileges, which bypass
-- the policies.
create view leadpipe_adopt.definitions as
  select p.oid, proname as name, prosecdef as is_definer, 'routine' as kind, p.oid::regprocedure::text as signature,
    case when prokind in ('f', 'p') then pg_catalog.pg_get_functiondef(p.oid) end as text
  from pg_catalog.pg_proc p
  where pronamespace = 'public'::regnamespace
    and not exists (select from pg_catalog.pg_depend where objid = p.oid and deptype = 'e')
  union all
  select c.oid, relname, not coalesce(reloptions::text ~ 'security_invoker=(true|on|1)', false), 'table', c.oid::regclass::text,
    pg_catalog.pg_get_viewdef(c.oid)
  from pg_catalog.pg_class c
  where relnamespace = 'public'::regnamespace and relkind in ('v', 'm')
    and not exists (select from pg_catalog.pg_depend where objid = c.oid and deptype = 'e');

create function leadpipe_adopt.stop(p_message text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'LP409', message = 'This file changed nothing. ' || p_message;
end
$$;

-- Adds missing values to an enum, at their positions.
create function leadpipe_adopt.complete_enum(p_name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_labels text[] := (select array_agg(enumlabel::text order by enumsortorder) from pg_enum
                      where enumtypid = ('leadpipe_adopt.' || p_name)::regtype);
begin
  if to_regtype('public.' || p_name) is null then
    execute format('create type public.%I as enum (%s)', p_name, (
      select string_agg(quote_literal(label), ', ' order by place) from unnest(v_labels) with ordinality as l (label, place)));
    return;
  end if;
  for i in 1 .. cardinality(v_labels) loop
    continue when exists (select from pg_enum where enumtypid = ('public.' || p_name)::regtype and enumlabel = v_labels[i]);
    if i > 1 then
      execute format('alter type public.%I add value %L after %L', p_name, v_labels[i], v_labels[i - 1]);
    else
      execute format('alter type public.%I add value %L before %L', p_name, v_labels[i],
                     (select enumlabel from pg_enum where enumtypid = ('public.' || p_name)::regtype order by enumsortorder limit 1));
    end if;
  end loop;
end
$$;

-- Renames a table and its indexes, and revokes all privileges on it. Of its foreign keys to our tables, only those to
-- conversations are kept: the checklist's clean-up can then drop its four tables, and deleting a conversation still
-- deletes all of its rows.
create function leadpipe_adopt.set_aside(p_table text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_table regclass := to_regclass('public.' || quote_ident(p_table));
  v_name text;
begin
  if (select relkind not in ('r', 'p') from pg_class where oid = v_table) then
    perform leadpipe_adopt.stop(format('public.%I is not a table, and Leadpipe needs the name. Rename it, then migrate again.', p_table));
  end if;
  for v_name in select polname from pg_policy where polrelid = v_table loop
    execute format('drop policy %I on %s', v_name, v_table);
  end loop;
  for v_name in select conname from pg_constraint where conrelid = v_table and contype = 'f'
    and confrelid in (select standing from leadpipe_adopt.our_tables where table_name <> 'conversations') loop
    execute format('alter table %s drop constraint %I', v_table, v_name);
  end loop;
  for v_name in select relname from pg_index join pg_class on pg_class.oid = indexrelid where indrelid = v_table loop
    execute format('alter index public.%I rename to %I', v_name, left(v_name, 47) || '_before_leadpipe');
  end loop;
  execute format('alter table %s enable row level security', v_table);
  execute format('revoke all on table %s from public, anon, authenticated, service_role', v_table);
  execute format('alter table %s rename to %I', v_table, p_table || '_before_leadpipe');
  raise notice 'public.% is now public.%_before_leadpipe; only its owner can read it', p_table, p_table;
end
$$;

create function leadpipe_adopt.is_readable(p_value text, p_type text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
begin
  execute format('select %L::%s', p_value, p_type);
  return true;
exception when others then
  return false;
end
$$;

-- Gives a column the type, default and nullability of the shape. ALTER … USING fires no trigger. A time without a time
-- zone is read as UTC.
create function leadpipe_adopt.bring_column(p_table text, p_shape leadpipe_adopt.columns, p_found leadpipe_adopt.columns)
returns void language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  v_read text := format('%I::text::%s', p_shape.column_name, p_shape.type);
  v_misfits bigint;
  v_nulls bigint := 0;
begin
  if p_found.type <> p_shape.type then
    execute format('select count(*) from (select distinct %I::text as value from public.%I where %1$I is not null) v
                    where not leadpipe_adopt.is_readable(value, %3$L)', p_shape.column_name, p_table, p_shape.type) into v_misfits;
    if v_misfits > 0 and p_shape.is_required then
      perform leadpipe_adopt.stop(format('public.%I.%I has %s values that are not valid as %s. Change them, then migrate again.',
                                         p_table, p_shape.column_name, v_misfits, p_shape.type));
    elsif v_misfits > 0 then
      execute format('alter table public.%I add column %I %s', p_table, p_shape.column_name || '_before_leadpipe', p_found.type);
      execute format('alter table public.%I alter column %I type %s using %I',
                     p_table, p_shape.column_name || '_before_leadpipe', p_found.type, p_shape.column_name);
      v_read := format('case when leadpipe_adopt.is_readable(%I::text, %L) then %s end', p_shape.column_name, p_shape.type, v_read);
      raise notice 'public.%.% has % values that are not valid as %; its old values are in %_before_leadpipe', p_table, p_shape.column_name,
        v_misfits, p_shape.type, p_shape.column_name;
    end if;
  end if;

  if p_shape.is_required and not p_found.is_required then
    execute format('select count(*) from public.%I where %I is null', p_table, p_shape.column_name) into v_nulls;
    if v_nulls > 0 and p_shape.fallback is null then
      perform leadpipe_adopt.stop(format('public.%I has %s rows without %I. Give them a value or delete them, then migrate again.',
                                         p_table, v_nulls, p_shape.column_name));
    end if;
  end if;

  if p_found.type <> p_shape.type or v_nulls > 0 then
    execute format('alter table public.%I alter column %I drop default, alter column %2$I type %s using %s', p_table,
                   p_shape.column_name, p_shape.type,
                   case when v_nulls > 0 then format('coalesce(%s, %s)', v_read, p_shape.fallback) else v_read end);
  end if;
  execute format('alter table public.%I alter column %I %s, alter column %2$I %4$s not null', p_table, p_shape.column_name,
                 coalesce('set default ' || p_shape.fallback, 'drop default'),
                 case when p_shape.is_required then 'set' else 'drop' end);
end
$$;

create function leadpipe_adopt.bring_columns(p_table text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_shape leadpipe_adopt.columns;
  v_found leadpipe_adopt.columns;
begin
  for v_shape in select * from leadpipe_adopt.columns where table_id = ('leadpipe_adopt.' || p_table)::regclass order by position loop
    select * into v_found from leadpipe_adopt.columns
    where table_id = ('public.' || p_table)::regclass and column_name = v_shape.column_name;
    if not found then
      execute format('alter table public.%I add column %I %s %s %s', p_table, v_shape.column_name, v_shape.type,
                     'default ' || v_shape.fallback, case when v_shape.is_required then 'not null' end);
    elsif (v_found.type, v_found.is_required, v_found.fallback)
      is distinct from (v_shape.type, v_shape.is_required, v_shape.fallback) then
      perform leadpipe_adopt.bring_column(p_table, v_shape, v_found);
    end if;
  end loop;
  -- A column that is not ours must not require a value, because Leadpipe does not write it.
  for v_found in select * from leadpipe_adopt.columns
    where table_id = ('public.' || p_table)::regclass and is_required and fallback is null and column_name not in
      (select column_name from leadpipe_adopt.columns where table_id = ('leadpipe_adopt.' || p_table)::regclass) loop
    execute format('alter table public.%I alter column %I drop not null', p_table, v_found.column_name);
  end loop;
end
$$;

-- Drops policies, triggers, constraints and indexes that are not in the shape. Must run before the columns change,
-- because these objects depend on the columns' types.
create function leadpipe_adopt.clear(p_shape oid, p_found regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_name text;
begin
  for v_name in
    select polname from pg_policy where polrelid = p_found and polname not in ('service_role_all', 'admin_reads')
  loop
    execute format('drop policy %I on %s', v_name, p_found);
    raise notice 'dropped policy "%" on %', v_name, p_found;
  end loop;
  for v_name in select tgname from pg_trigger where tgrelid = p_found and not tgisinternal and tgname in
    (select format(pattern, table_name) from leadpipe_adopt.our_tables, unnest(array['%s_updated_at', 'update_%s_updated_at']) pattern) loop
    execute format('drop trigger %I on %s', v_name, p_found);
  end loop;
  for v_name in select name from leadpipe_adopt.constraints c where table_id = p_found
    and not (kind = 'f' and target not in (select standing from leadpipe_adopt.our_tables where standing is not null))
    and not exists (
      select from leadpipe_adopt.constraints s where s.table_id = p_shape and (s.name, s.definition) = (c.name, c.definition)) loop
    execute format('alter table %s drop constraint %I', p_found, v_name);
  end loop;
  for v_name in select name from leadpipe_adopt.indexes i where table_id = p_found
    and not exists (select from leadpipe_adopt.indexes s where s.table_id = p_shape and s.definition = i.definition) loop
    execute format('drop index public.%I', v_name);
  end loop;
  if obj_description(p_found, 'pg_class') is not null then
    execute format('comment on table %s is null', p_found);
  end if;
end
$$;

-- Adds the constraints and indexes of the shape. Keys must be added before foreign keys.
create function leadpipe_adopt.constrain(p_tables name[], p_kinds text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_what record;
begin
  for v_what in
    select t.table_name, s.name, format('alter table public.%I add constraint %I %s', t.table_name, s.name, s.definition) as statement
    from leadpipe_adopt.our_tables t join leadpipe_adopt.constraints s on s.table_id = t.shape
    where t.table_name = any (p_tables) and position(s.kind::text in p_kinds) > 0 and not exists (
      select from leadpipe_adopt.constraints f where f.table_id = t.standing and (f.name, f.definition) = (s.name, s.definition))
    union all
    select t.table_name, s.name, s.definition from leadpipe_adopt.our_tables t join leadpipe_adopt.indexes s on s.table_id = t.shape
    where t.table_name = any (p_tables) and position('i' in p_kinds) > 0 and not exists (
      select from leadpipe_adopt.indexes f where f.table_id = t.standing and f.definition = s.definition)
  loop
    begin
      execute v_what.statement;
    exception when check_violation or foreign_key_violation or unique_violation then
      perform leadpipe_adopt.stop(format('Rows of public.%I violate a constraint of Leadpipe (%s). Change them, then migrate again: %s',
                                         v_what.table_name, sqlerrm, v_what.statement));
    end;
  end loop;
end
$$;

-- If schema leadpipe exists, the later files have run, and an existing table already has the shape.
do $$
declare
  v_is_first constant boolean := to_regnamespace('leadpipe') is null;
  v_tables constant name[] := array(select table_name from leadpipe_adopt.our_tables where v_is_first or standing is null);
  v_name text;
  v_table record;
  v_settled constant text := $settled$processed or created_at < now() - interval '72 hours'
    or event_type::text not in ('lead.created', 'sla.warning', 'sla.breached')$settled$;
begin
  perform set_config('search_path', 'pg_catalog, pg_temp', true);

  if v_is_first then
    for v_name in select typname from pg_type where typnamespace = 'leadpipe_adopt'::regnamespace and typtype = 'e' loop
      perform leadpipe_adopt.complete_enum(v_name);
    end loop;
    -- Before the columns change, because a row filter of the publication may depend on them. 20261127120000_live adds
    -- its three tables without column list or row filter.
    for v_name in
      select prrelid::regclass from pg_publication_rel join pg_publication p on p.oid = prpubid join pg_class c on c.oid = prrelid
      where pubname = 'supabase_realtime' and relnamespace = 'public'::regnamespace
        and (relname in (select table_name from leadpipe_adopt.our_tables) or relname in (select table_name from leadpipe_adopt.later_tables))
        and not (relname in ('conversations', 'lead_events', 'conversation_timeline') and prattrs is null and prqual is null)
    loop
      begin
        execute format('alter publication supabase_realtime drop table %s', v_name);
        raise notice 'supabase_realtime no longer has %', v_name;
      exception when insufficient_privilege then
        raise notice 'supabase_realtime belongs to another role, and still has %', v_name;
      end;
    end loop;
    for v_name in select table_name from leadpipe_adopt.later_tables where to_regclass('public.' || table_name) is not null loop
      perform leadpipe_adopt.set_aside(v_name);
    end loop;
    if to_regclass('public.notification_logs') is not null then
      perform from public.notification_logs limit 1;
      if found then
        perform leadpipe_adopt.set_aside('notification_logs');
      end if;
    end if;
    -- Later files create these four again: existing ones may have other arguments or results.
    for v_name in select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace and proname in
      ('emit_lead_event', 'add_timeline_entry', 'update_overdue_follow_ups', 'get_sla_breach_candidates') loop
      execute format('drop function %s', v_name);
    end loop;
    for v_table in select * from leadpipe_adopt.our_tables where standing is not null loop
      perform leadpipe_adopt.clear(v_table.shape, v_table.standing);
    end loop;
  end if;

  for v_name in select table_name from leadpipe_adopt.our_tables where standing is null loop
    execute format('create table public.%I ()', v_name);
  end loop;
  foreach v_name in array v_tables loop
    perform leadpipe_adopt.bring_columns(v_name);
  end loop;
  perform leadpipe_adopt.constrain(v_tables, 'pu');
  perform leadpipe_adopt.constrain(v_tables, 'cif');

  -- planned_at belongs to a later file. The worker treats every event without it as new.
  perform from public.lead_events limit 1;
  if found and v_is_first then
    alter table public.lead_events add column if not exists planned_at timestamptz;
    execute format('alter table public.lead_events
      alter column planned_at type timestamptz using coalesce(planned_at, case when %1$s then coalesce(processed_at, created_at) end),
      alter column processed_at type timestamptz using coalesce(processed_at, case when %1$s then now() end),
      alter column processed type boolean using (%1$s)', v_settled);
  end if;
end
$$;

create or replace function public.update_updated_at_column() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  new.updated_at := clock_timestamp();
  return new;
end
$$;
revoke all on function public.update_updated_at_column() from public, anon, authenticated;
grant execute on function public.update_updated_at_column() to service_role;

create or replace function public.has_role(_user_id uuid, _role public.app_role) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as
  $$ select exists (select from public.user_roles where user_id = _user_id and role::text = _role::text) $$;
revoke all on function public.has_role(uuid, public.app_role) from public, anon;
grant execute on function public.has_role(uuid, public.app_role) to authenticated, service_role;

-- Privileges and policies. These are set each time.
do $$
declare
  v_name text;
  v_table record;
  v_readers text := '\m(' || (
    select string_agg(table_name, '|') from (select table_name from leadpipe_adopt.our_tables
      union all select table_name from leadpipe_adopt.later_tables) both_lists) || ')(_before_leadpipe)?\M';
  v_found text[] := '{}';
  v_more text[];
  v_strangers constant oid[] := array[0::oid, 'anon'::regrole, 'authenticated'::regrole];
begin
  for v_table in select * from leadpipe_adopt.our_tables where standing is not null loop
    for v_name in select polname from pg_catalog.pg_policy
      where polrelid = v_table.standing and polroles && v_strangers and polname not in ('service_role_all', 'admin_reads') loop
      execute format('drop policy %I on %s', v_name, v_table.standing);
      raise notice 'dropped policy "%" on %', v_name, v_table.standing;
    end loop;
    execute format('alter table %s enable row level security, no force row level security', v_table.standing);
    execute format('revoke all on table %s from public, anon, authenticated, service_role', v_table.standing);
    execute format('grant select on table %s to authenticated', v_table.standing);
    execute format('grant select, insert, update, delete on table %s to service_role', v_table.standing);
    execute format('drop policy if exists service_role_all on %s', v_table.standing);
    execute format('create policy service_role_all on %s for all to service_role using (true) with check (true)', v_table.standing);
    execute format('drop policy if exists admin_reads on %s', v_table.standing);
    execute format('create policy admin_reads on %s for select to authenticated
                    using ((select public.has_role((select auth.uid()), ''admin''::public.app_role)))', v_table.standing);
    if exists (select from pg_catalog.pg_attribute where attrelid = v_table.shape and attname = 'updated_at') then
      execute format('create or replace trigger %I before update on %s for each row execute function public.update_updated_at_column()',
                     v_table.table_name || '_updated_at', v_table.standing);
    end if;
  end loop;

  -- SECURITY DEFINER functions and views read these tables with their owner's privileges, which bypass the policies. So
  -- do those that use another one, directly or indirectly. A function that a policy calls keeps its caller's EXECUTE in
  -- any case (see below).
  loop
    v_more := array(
      select distinct name::text from leadpipe_adopt.definitions d where text ~* v_readers and name <> all (v_found)
        and not exists (select from leadpipe_adopt.called_by_policies where kind = 'routine' and function = d.oid));
    exit when v_more = '{}';
    v_found := v_found || v_more;
    v_readers := v_readers || '|\m(' || (
      select string_agg(regexp_replace(name, '(\W)', '\\\1', 'g'), '|') from unnest(v_more) name) || ')\M';
  end loop;
  for v_name in
    select signature from leadpipe_adopt.definitions d join pg_catalog.pg_proc p on p.oid = d.oid,
      aclexplode(coalesce(proacl, acldefault('f', proowner))) as right_
    where kind = 'routine' and is_definer and text ~* v_readers and grantee = any (v_strangers)
      and d.oid <> 'public.has_role(uuid, public.app_role)'::regprocedure
    group by signature
  loop
    execute format('revoke all on routine %s from public, anon, authenticated', v_name);
    execute format('grant execute on routine %s to service_role', v_name);
    raise notice 'only service_role may now call %', v_name;
  end loop;
  for v_name in
    select signature from leadpipe_adopt.definitions d, unnest(array['anon', 'authenticated']) as r (name)
    where kind = 'table' and is_definer and text ~* v_readers and (has_any_column_privilege(r.name, d.oid, 'select, insert, update')
      or has_table_privilege(r.name, d.oid, 'delete'))
    group by signature
  loop
    execute format('revoke all on table %s from public, anon, authenticated', v_name);
    raise notice 'only service_role may now read %', v_name;
  end loop;

  -- A policy runs with the privileges of the querying role. Without EXECUTE on a function that a policy of one of the
  -- project's own tables calls, the role could not query that table.
  for v_table in
    select signature, caller, guarded
    from leadpipe_adopt.called_by_policies join leadpipe_adopt.definitions d on kind = 'routine' and d.oid = function
    where is_definer and text ~* v_readers and not has_function_privilege(caller, d.oid, 'execute')
  loop
    execute format('grant execute on function %s to %I', v_table.signature, v_table.caller);
    raise notice '% may call %: a policy on % calls it', v_table.caller, v_table.signature, v_table.guarded;
  end loop;
end
$$;

drop schema leadpipe_adopt cascade;
reset statement_timeout;
