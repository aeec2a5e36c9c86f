-- Used by all later files: the handlers' roles, schema leadpipe, enum values, and row-level security. This file and all
-- later ones can run again at any time.

-- Schema leadpipe holds the functions that only other functions call. Supabase exposes schema public over REST, but not
-- leadpipe, which only its owner may use. Functions in public run with their owner's privileges.
create schema if not exists leadpipe;
revoke all on schema leadpipe from public;

-- The handlers' roles. A role can log in after the operator sets its password. The roles have no privileges on tables
-- and may only call functions.
do $$
declare
  v_role text;
begin
  foreach v_role in array array['leadpipe_intake', 'leadpipe_worker', 'leadpipe_admin'] loop
    if not exists (select from pg_roles where rolname = v_role) then
      begin
        execute format('create role %I login noinherit', v_role);
      exception when duplicate_object or unique_violation then null;  -- roles are shared by all databases of a cluster
      end;
    end if;
    begin
      execute format('grant %I to current_user', v_role);  -- so that one login can SET ROLE to each
    exception when insufficient_privilege then
      raise notice '% cannot be granted to %: SET ROLE to it will fail, but its own login works', v_role, current_user;
    end;
    execute format('grant usage on schema public to %I', v_role);
  end loop;
end
$$;

-- Nothing in this file uses these values: a new value can be used only after the transaction that adds it.
alter type public.lead_event_type add value if not exists 'newsletter.subscribed';
alter type public.lead_event_type add value if not exists 'channel.test';

-- The parameters of a conversation list: filters, the current time, and the last row of the previous page.
do $$
begin
  create type leadpipe.conversation_search as (
    statuses text[], qualities text[], intents text[], areas text[], agents uuid[], tags text[], sources text[], follow_ups text[],
    sla_states text[], least_score integer, most_score integer, since timestamptz, until timestamptz,
    now timestamptz, today timestamptz, tomorrow timestamptz, warn_hot timestamptz, warn_warm timestamptz, warn_cold timestamptz,
    wanted tsquery, terms tsquery, after_score integer, after_amount double precision, after_time timestamptz,
    after_created timestamptz, after_id uuid);
exception when duplicate_object then null;
end
$$;

-- Enables row-level security on a table: service_role has full access, administrators can read, and all other roles
-- have no access. Row-level security is not forced on the owner, because the functions access the rows with the owner's
-- privileges.
create or replace function leadpipe.protect_table(p_table regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute format('alter table %s enable row level security', p_table);
  -- Supabase's old default privileges grant all rights on a new table.
  execute format('revoke all on table %s from public, anon, authenticated, service_role', p_table);
  execute format('grant select on table %s to authenticated', p_table);
  execute format('grant select, insert, update, delete on table %s to service_role', p_table);
  execute format('drop policy if exists service_role_all on %s', p_table);
  execute format('create policy service_role_all on %s for all to service_role using (true) with check (true)', p_table);
  execute format('drop policy if exists admin_reads on %s', p_table);
  -- The sub-selects let the planner check the role once per query instead of once per row.
  execute format('create policy admin_reads on %s for select to authenticated
                  using ((select public.has_role((select auth.uid()), ''admin''::public.app_role)))', p_table);
end
$$;
revoke all on function leadpipe.protect_table(regclass) from public, anon, authenticated;
