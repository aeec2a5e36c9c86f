/// The objects of a database that are not Leadpipe's. Dropping Leadpipe's tables, types and functions also drops what
/// depends on them: a view of another schema, a policy of Supabase's storage, a column of one of our types. A restore
/// must lose none of these.
enum OtherObjects {
  /// Notes the other objects.
  /// - Parameter names: the names of schema public that are Leadpipe's, as a list of SQL literals.
  static func noting(besides names: String) -> String {
    """
    create temp view others as
      with relation as (
        select c.oid, c.relkind from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where \(isOther) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c'))
      select 'pg_catalog.pg_class'::regclass::oid as catalog, oid, 0 as part from relation
      union all
      select 'pg_catalog.pg_class'::regclass, a.attrelid, a.attnum from pg_catalog.pg_attribute a join relation r on r.oid = a.attrelid
      where a.attnum > 0 and not a.attisdropped and r.relkind in ('r', 'p', 'f', 'c')
      union all
      select 'pg_catalog.pg_attrdef'::regclass, a.oid, 0 from pg_catalog.pg_attrdef a join relation r on r.oid = a.adrelid
      union all
      select 'pg_catalog.pg_constraint'::regclass, c.oid, 0 from pg_catalog.pg_constraint c join relation r on r.oid = c.conrelid
      union all
      select 'pg_catalog.pg_trigger'::regclass, t.oid, 0 from pg_catalog.pg_trigger t join relation r on r.oid = t.tgrelid
      where not t.tgisinternal
      union all
      select 'pg_catalog.pg_policy'::regclass, p.oid, 0 from pg_catalog.pg_policy p join relation r on r.oid = p.polrelid
      union all
      select 'pg_catalog.pg_class'::regclass, i.indexrelid, 0 from pg_catalog.pg_index i join relation r on r.oid = i.indrelid
      union all
      select 'pg_catalog.pg_proc'::regclass, p.oid, 0 from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      where \(isOther) or n.nspname = 'public' and p.proname <> all (array[\(names)])
      union all
      select 'pg_catalog.pg_type'::regclass, t.oid, 0 from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
      where t.typtype in ('d', 'e', 'r') and (\(isOther) or n.nspname = 'public' and t.typname <> all (array[\(names)]));
    create temp table others_before on commit drop as
      select o.*, pg_catalog.pg_describe_object(o.catalog, o.oid, o.part) as name from pg_temp.others o;
    """
  }

  /// Raises an exception that names those that have gone.
  static let requiringAll = """
    do $restore$
    declare
      v_gone text := (
        select string_agg(name, ', ') from (
          select b.name from pg_temp.others_before b
          where not exists (select from pg_temp.others o where (o.catalog, o.oid, o.part) = (b.catalog, b.oid, b.part))
          order by b.name limit 10) gone);
    begin
      if v_gone is not null then
        raise exception 'other objects depend on tables, types or functions that a restore replaces: %', v_gone
          using hint = 'Restore into an empty database, or drop these first and create them again afterwards.';
      end if;
    end
    $restore$;
    drop view pg_temp.others;
    """

  private static let isOther = """
    n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'public', 'leadpipe', 'supabase_migrations')
    """
}
