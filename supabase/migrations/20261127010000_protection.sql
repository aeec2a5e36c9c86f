-- What every later file builds on: the handlers' roles, schema leadpipe, values of enums, and row-level security.
-- This file can run again at any time, and so can each of those that follow.

-- Schema leadpipe holds the functions that only other functions call. Supabase exposes public over REST; leadpipe stays
-- out of its reach, and no role but the owner may use it. Functions in public run with their owner's rights.
create schema if not exists leadpipe;
revoke all on schema leadpipe from public;

-- The handlers' roles. Each can log in once the operator has given it a password, and has no right on any table: only
-- functions.
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
      raise notice '% cannot be granted to %: SET ROLE will not work, its own login does', v_role, current_user;
    end;
    execute format('grant usage on schema public to %I', v_role);
  end loop;
end
$$;

-- Nothing in this file uses them: a new value can be used after its transaction only.
alter type public.lead_event_type add value if not exists 'newsletter.subscribed';
alter type public.lead_event_type add value if not exists 'channel.test';

-- A request for a list of conversations: its filters, the clock, and the row that the page follows.
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

-- Turns row-level security on for a table: service_role may do everything, an administrator may read, nobody else may
-- do anything. The owner is not forced under the policies, because the functions reach the rows with its rights.
create or replace function leadpipe.protect_table(p_table regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute format('alter table %s enable row level security', p_table);
  -- Supabase's old default privileges grant everything on a new table.
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
