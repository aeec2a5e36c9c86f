/// What a restore runs around the sections of a dump, in psql and in the dump's transaction. Every name has its schema,
/// because pg_restore empties the search path.
package enum RestoreScript {
  /// The tables whose rows a restore never replaces, with the words for one row and for several.
  static let kept = [
    ("conversations", "lead", "leads"), ("agents", "agent", "agents"),
    ("newsletter_subscribers", "newsletter subscriber", "newsletter subscribers"),
    ("user_roles", "user with a role", "users with roles"),
  ]

  /// The beginning of the reason of everything that a restore has held.
  package static let heldPrefix = "Held by a restore"

  /// Begins the transaction, removes the empty tables of an earlier `leadpipe migrate`, and makes what a dump lacks:
  /// roles, and what Supabase has and plain PostgreSQL lacks.
  /// - Parameters:
  ///   - shim: supabase/shim.sql.
  ///   - names: the names of schema public that Leadpipe's migrations use.
  package static func opening(shim: String, names: Set<String>) -> String {
    """
    begin;
    set client_min_messages = error;
    set local lock_timeout = '10s';
    \(emptying(names: names))
    reset lock_timeout;
    \(shim)
    \(roles)
    create schema if not exists supabase_migrations;
    \(withoutDefaultPrivileges)

    """
  }

  /// Waits for captures, checks once more that nothing would be lost, and drops what the migrations have made. Fails if
  /// that drops an object that is not Leadpipe's.
  private static func emptying(names: Set<String>) -> String {
    let list = names.sorted().map { "'\($0)'" }.joined(separator: ", ")
    let checks = kept.map { table, _, many in
      """
        if to_regclass('public.\(table)') is not null then
          perform from public.\(table) limit 1;
          if found then raise exception 'the database holds \(many)'; end if;
        end if;
      """
    }.joined(separator: "\n")
    return """
      \(OtherObjects.noting(besides: list))
      do $restore$
      declare
        v_names constant text[] := array[\(list)];
        v_tables text := (
          select string_agg(format('%I.%I', c.relnamespace::regnamespace, c.relname), ', ' order by c.relname) from pg_class c
          where c.relkind in ('r', 'p') and (c.relnamespace = to_regnamespace('leadpipe')
            or c.relnamespace = 'public'::regnamespace and c.relname = any (v_names)));
        v_item record;
      begin
        if v_tables is not null then
          execute 'lock table ' || v_tables || ' in access exclusive mode';
        end if;
      \(checks)
        execute 'drop schema if exists leadpipe cascade';
        for v_item in
          select relname, relkind from pg_class c
          where c.relnamespace = 'public'::regnamespace and c.relname = any (v_names) and c.relkind in ('r', 'p', 'v', 'm')
            and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
        loop
          execute format('drop %s if exists public.%I cascade',
            case v_item.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end, v_item.relname);
        end loop;
        for v_item in
          select p.oid::regprocedure as routine from pg_proc p
          where p.pronamespace = 'public'::regnamespace and p.proname = any (v_names)
            and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
        loop
          execute format('drop routine if exists %s cascade', v_item.routine);
        end loop;
        for v_item in
          select t.typname from pg_type t
          where t.typnamespace = 'public'::regnamespace and t.typname = any (v_names) and t.typtype in ('e', 'd')
        loop
          execute format('drop type if exists public.%I cascade', v_item.typname);
        end loop;
        for v_item in
          select c.relname from pg_class c
          where c.relnamespace = 'public'::regnamespace and c.relname = any (v_names) and c.relkind = 'S'
        loop
          execute format('drop sequence if exists public.%I cascade', v_item.relname);
        end loop;
        execute 'drop table if exists supabase_migrations.schema_migrations, supabase_migrations.seed_files';
      end
      $restore$;
      \(OtherObjects.requiringAll)
      """
  }

  /// The same as in supabase/schemas/roles.sql: a dump has the rights of roles, but not the roles.
  private static let roles = """
    do $restore$
    declare
      v_role text;
    begin
      foreach v_role in array array['leadpipe_intake', 'leadpipe_worker', 'leadpipe_admin'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
          execute format('create role %I login noinherit', v_role);
        end if;
        begin
          execute format('grant %I to current_user', v_role);
        exception when insufficient_privilege then
          raise notice '% cannot be granted to %', v_role, current_user;
        end;
        execute format('grant usage on schema public to %I', v_role);
      end loop;
    end
    $restore$;
    """

  /// A dump grants and revokes what its objects had beyond PostgreSQL's own defaults. Where the database grants more on
  /// every new object, as Supabase's projects do to anon, these objects would have rights that they never had; where
  /// PUBLIC may not execute new functions, they would lack rights. So the database has PostgreSQL's defaults for the
  /// length of the transaction.
  private static let withoutDefaultPrivileges = """
    create temp table restored_defaults on commit drop as
      select true as was_granted,
        case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' else 'types' end as kind,
        coalesce('in schema ' || nullif(d.defaclnamespace, 0)::regnamespace, '') as place,
        coalesce(quote_ident(g.rolname), 'public') as grantee, a.privilege_type as privilege, a.is_grantable
      from pg_catalog.pg_default_acl d cross join lateral aclexplode(d.defaclacl) a left join pg_catalog.pg_roles g on g.oid = a.grantee
      where d.defaclrole = (select oid from pg_catalog.pg_roles where rolname = current_user)
        and (d.defaclnamespace = 'public'::regnamespace or d.defaclnamespace = 0)
        and a.grantee not in (0, d.defaclrole) and d.defaclobjtype in ('r', 'S', 'f', 'T')
      union all
      select false, own.kind, '', 'public', own.privilege, false
      from (values ('f', 'functions', 'execute'), ('T', 'types', 'usage')) own (type, kind, privilege)
      join pg_catalog.pg_default_acl d on d.defaclobjtype = own.type::"char" and d.defaclnamespace = 0
      where d.defaclrole = (select oid from pg_catalog.pg_roles where rolname = current_user)
        and not exists (select from aclexplode(d.defaclacl) a where a.grantee = 0);
    do $restore$
    declare
      v_item record;
    begin
      for v_item in select * from pg_temp.restored_defaults loop
        execute format(case when v_item.was_granted then 'alter default privileges %s revoke %s on %s from %s'
          else 'alter default privileges %s grant %s on %s to %s' end, v_item.place, v_item.privilege, v_item.kind, v_item.grantee);
      end loop;
    end
    $restore$;
    """

  /// Runs between the tables and their rows. Transaction ids belong to a cluster: an event with the id of another one
  /// would one day be sent as new. A trigger costs less than rewriting the rows afterwards.
  package static let beforeRows = """
    do $restore$
    begin
      if exists (select from pg_catalog.pg_attribute where attrelid = to_regclass('public.lead_events') and attname = 'xact') then
        create function pg_temp.forget_transaction() returns trigger language plpgsql as
          $trigger$ begin new.xact := null; return new; end $trigger$;
        create trigger forget_transaction before insert on public.lead_events
          for each row execute function pg_temp.forget_transaction();
      end if;
    end
    $restore$;

    """

  /// Runs between the rows and their indexes, foreign keys and triggers.
  /// - Parameter hold: why notifications that are not final are held; nil to leave them as they are.
  package static func afterRows(hold: String?) -> String {
    """
    do $restore$
    begin
      if exists (select from pg_catalog.pg_trigger where tgrelid = to_regclass('public.lead_events') and tgname = 'forget_transaction') then
        drop trigger forget_transaction on public.lead_events;
      end if;
      -- What the sweeps have read is a place in the other cluster's transactions. From here on they read new events.
      if to_regclass('leadpipe.assigning') is not null then
        update leadpipe.assigning set seen = pg_snapshot_xmin(pg_current_snapshot()) where seen is not null;
      end if;
      if to_regclass('leadpipe.receipt_sweep') is not null then
        update leadpipe.receipt_sweep set seen = pg_current_snapshot() where seen is not null;
      end if;
      -- Some may have been ended, or used, since.
      if to_regclass('public.admin_sessions') is not null then
        delete from public.admin_sessions where true;
      end if;
      if to_regclass('leadpipe.admin_logins') is not null then
        delete from leadpipe.admin_logins where true;
      end if;
    end
    $restore$;
    \(hold.map(holding) ?? "")
    """
  }

  /// Holds what is not final: a delivery as parked, with an attempt whose outcome is unknown, so that a message that is
  /// sent later is marked as a possible repeat; an event without deliveries as processed; a lead of the time without
  /// event tables as planned for never.
  private static func holding(_ reason: String) -> String {
    """
    do $restore$
    declare
      c_reason constant text := '\(reason)';
    begin
      if to_regclass('public.notification_logs') is not null then
        with held as (
          update public.notification_logs d set
            status = 'failed', outcome_class = 'unknown', error_message = c_reason, next_attempt_at = null, lease_until = null,
            leased_by = null, fence = d.fence + 1
          where d.due_at is not null
          returning d.id, d.fence, d.retry_count, d.lead_event_id, d.channel
        ), attempted as (
          insert into public.notification_attempts (delivery, fence, attempt, finished_at, class, excerpt, worker)
          select id, fence, retry_count + 1, now(), 'unknown', c_reason, 'leadpipe restore' from held
        )
        update public.lead_events e set
          processed = true, processed_at = coalesce(e.processed_at, now()), last_error = h.channel || ': ' || c_reason
        from (select lead_event_id, min(channel::text) as channel from held group by 1) h where e.id = h.lead_event_id;
        update public.lead_events e set
          planned_at = now(), processed = true, processed_at = now(), last_error = c_reason
        where e.planned_at is null and not e.processed;
      end if;
      if to_regclass('leadpipe.direct_deliveries') is not null then
        update leadpipe.direct_deliveries d set
          status = 'failed', outcome_class = 'unknown', error_message = c_reason, due_at = null, lease_until = null, leased_by = null,
          fence = d.fence + 1, may_have_arrived = true
        where d.due_at is not null;
        update leadpipe.unsent_leads u set planned_at = 'infinity' where u.planned_at is null;
      end if;
      if to_regclass('leadpipe.receipt_queue') is not null then
        delete from leadpipe.receipt_queue where true;
      end if;
    end
    $restore$;

    """
  }

  /// Ends the transaction. Nothing of it is kept unless psql reads this. Before it commits, psql writes a line to stdout.
  package static let closing = """
    do $restore$
    declare
      v_item record;
    begin
      for v_item in select * from pg_temp.restored_defaults loop
        execute format(case when v_item.was_granted then 'alter default privileges %s grant %s on %s to %s%s'
          else 'alter default privileges %s revoke %s on %s from %s' end, v_item.place, v_item.privilege, v_item.kind, v_item.grantee,
          case when v_item.is_grantable then ' with grant option' end);
      end loop;
      -- Supabase's Realtime reads these; the publication belongs to no schema, so a dump of schemas lacks it.
      for v_item in
        select t::regclass as name from unnest(array['public.conversations', 'public.lead_events', 'public.conversation_timeline']) as t
        where to_regclass(t) is not null and exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime')
          and not exists (select from pg_catalog.pg_publication_rel r join pg_catalog.pg_publication p on p.oid = r.prpubid
            where p.pubname = 'supabase_realtime' and r.prrelid = to_regclass(t))
      loop
        begin
          execute format('alter publication supabase_realtime add table %s', v_item.name);
        exception when insufficient_privilege then
          raise notice 'supabase_realtime belongs to another role and was not changed';
        end;
      end loop;
      for v_item in
        select c.oid::regclass as name from pg_catalog.pg_class c
        where c.relkind = 'r' and c.relnamespace in ('public'::regnamespace, 'leadpipe'::regnamespace)
      loop
        execute format('analyze %s', v_item.name);
      end loop;
    end
    $restore$;
    \\echo committing
    commit;

    """
}
