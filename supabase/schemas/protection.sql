-- Common to all tables: row-level security, and a trigger that sets updated_at.

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

create table public.user_roles (
  id uuid constraint user_roles_pkey primary key default gen_random_uuid(),
  user_id uuid not null,
  role public.app_role not null
);
create unique index user_roles_user_id_role_key on public.user_roles (user_id, role);

-- True if the user has the role. Compares as text, because in some projects the column user_roles.role has type text.
create or replace function public.has_role(_user_id uuid, _role public.app_role) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as
  $$ select exists (select from public.user_roles where user_id = _user_id and role::text = _role::text) $$;
revoke all on function public.has_role(uuid, public.app_role) from public, anon;
-- A policy runs with the privileges of the querying role.
grant execute on function public.has_role(uuid, public.app_role) to authenticated, service_role;

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

select leadpipe.protect_table('public.user_roles');
