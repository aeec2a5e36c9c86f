-- Creates what Supabase has and plain PostgreSQL lacks, so that the same migrations work on both. `leadpipe migrate`
-- runs it first, each time. On Supabase, schema auth belongs to another role, so each step first checks whether the
-- object exists; there it changes nothing.

do $shim$
declare
  wanted text;
begin
  foreach wanted in array array['anon', 'authenticated', 'service_role'] loop
    continue when exists (select from pg_catalog.pg_roles where rolname = wanted);
    begin
      execute format('create role %I nologin noinherit', wanted);
      -- An owner that is not a superuser needs the membership for SET ROLE. Supabase's `postgres` has it too.
      execute format('grant %I to current_user', wanted);
    exception when duplicate_object or unique_violation then null;  -- a concurrent run has created it
    end;
  end loop;
end
$shim$;

do $shim$
begin
  if to_regnamespace('auth') is null then
    create schema if not exists auth;
    grant usage on schema auth to anon, authenticated, service_role;
  end if;

  if to_regprocedure('auth.jwt()') is null then
    create function auth.jwt() returns jsonb language sql stable as
      $$ select coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb $$;
  end if;
  if to_regprocedure('auth.uid()') is null then
    create function auth.uid() returns uuid language sql stable as
      $$ select nullif(coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb ->> 'sub', '')::uuid $$;
  end if;
  if to_regprocedure('auth.role()') is null then
    create function auth.role() returns text language sql stable as
      $$ select coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb ->> 'role' $$;
  end if;
exception when duplicate_schema or duplicate_function or unique_violation then null;
end
$shim$;

do $shim$
begin
  if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
  end if;
exception when duplicate_object or unique_violation then null;
end
$shim$;
