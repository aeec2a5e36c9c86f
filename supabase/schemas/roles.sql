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
