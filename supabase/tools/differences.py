"""The statements that make one database equal to another. They can run again."""

# Each query returns the name and definition of an object, and `relation` and `part` if the object belongs to a table.
TABLES = """select c.oid::regclass::text as name, coalesce(array_to_string(c.reloptions, ', '), '') as is
  from pg_class c where relkind = 'r' and relnamespace in ('public'::regnamespace, 'leadpipe'::regnamespace)"""
COLUMNS = """select attrelid::regclass || '.' || quote_ident(attname) as name, attrelid::regclass::text as relation, quote_ident(attname) as part,
    format_type(atttypid, atttypmod) ||
      case attgenerated when 's' then ' generated always as (' || pg_get_expr(adbin, adrelid) || ') stored' else '' end as type,
    case when attgenerated = '' then pg_get_expr(adbin, adrelid) end as default, attnotnull as required
  from pg_attribute a left join pg_attrdef on adrelid = attrelid and adnum = attnum join pg_class c on c.oid = attrelid
  where attnum > 0 and not attisdropped and relkind = 'r' and relnamespace in ('public'::regnamespace, 'leadpipe'::regnamespace)"""
INDEXES = """select i.indexrelid::regclass::text as name, i.indrelid::regclass::text as relation, pg_get_indexdef(i.indexrelid) as is
  from pg_index i join pg_class c on c.oid = i.indexrelid
  where relnamespace in ('public'::regnamespace, 'leadpipe'::regnamespace)
    and not exists (select from pg_constraint where conindid = i.indexrelid and contype in ('p', 'u'))"""
CONSTRAINTS = """select conrelid::regclass || '.' || quote_ident(conname) as name, conrelid::regclass::text as relation, quote_ident(conname) as part,
    pg_get_constraintdef(oid) as is
  from pg_constraint where connamespace in ('public'::regnamespace, 'leadpipe'::regnamespace) and conrelid <> 0"""
TRIGGERS = """select tgrelid::regclass || '.' || quote_ident(tgname) as name, tgrelid::regclass::text as relation, quote_ident(tgname) as part,
    pg_get_triggerdef(t.oid) as is
  from pg_trigger t join pg_class c on c.oid = tgrelid where not tgisinternal and relnamespace in ('public'::regnamespace, 'leadpipe'::regnamespace)"""
POLICIES = """select format('%I.%I.%I', schemaname, tablename, policyname) as name, format('%I.%I', schemaname, tablename)::regclass::text as relation,
    quote_ident(policyname) as part, format('as %s for %s to %s', lower(permissive), lower(cmd), array_to_string(roles, ', '))
      || coalesce(format(' using (%s)', qual), '') || coalesce(format(' with check (%s)', with_check), '') as is
  from pg_policies where schemaname in ('public', 'leadpipe')"""
ENUMS = """select t.oid::regtype::text as name, json_agg(quote_literal(enumlabel) order by enumsortorder) as values
  from pg_type t join pg_enum e on e.enumtypid = t.oid where typnamespace in ('public'::regnamespace, 'leadpipe'::regnamespace) group by 1"""
FUNCTIONS = """select p.oid::regprocedure::text as name, format('%I.%I', nspname, proname) as plain, pg_get_functiondef(p.oid) as is, proacl::text[] as rights,
    pg_get_function_result(p.oid) || ' ' || pg_get_function_arguments(p.oid) as shape
  from pg_proc p join pg_namespace n on n.oid = pronamespace where nspname in ('public', 'leadpipe')"""
COMMENTS = """select 'table ' || objoid::regclass as name, description as is
  from pg_description join pg_class c on c.oid = objoid
  where classoid = 'pg_class'::regclass and objsubid = 0 and relkind = 'r' and relnamespace in ('public'::regnamespace, 'leadpipe'::regnamespace)
  union all
  select 'column ' || objoid::regclass || '.' || quote_ident(attname), description
  from pg_description join pg_attribute on attrelid = objoid and attnum = objsubid join pg_class c on c.oid = objoid
  where classoid = 'pg_class'::regclass and objsubid > 0 and relnamespace in ('public'::regnamespace, 'leadpipe'::regnamespace)"""


class Differences:
    """The differences between the current database and the wanted one. `source` contains the statements of
    schemas/: new tables and changed functions are copied from there."""

    def __init__(self, now, wanted, source):
        self.now, self.wanted, self.source = now, wanted, source
        self.found = []
        self.defaults = []

    def statements(self):
        """Returns all statements except those for new enum values, in an order in which they can run."""
        self.tables()
        self.columns()
        self.constraints()
        self.functions()
        # A default can call a new function.
        self.found += self.defaults
        self.simple(INDEXES, "drop index if exists {name};", lambda row: f"{once(row['is'], 'INDEX')};", replaced=True)
        self.simple(TRIGGERS, "drop trigger if exists {part} on {relation};",
                    lambda row: row["is"].replace("CREATE TRIGGER", "create or replace trigger", 1) + ";")
        self.simple(POLICIES, "drop policy if exists {part} on {relation};",
                    lambda row: f"create policy {row['part']} on {row['relation']} {row['is']};", replaced=True)
        self.simple(COMMENTS, "comment on {name} is null;", lambda row: f"comment on {row['name']} is {literal(row['is'])};")
        return self.found

    def values(self):
        """Returns the statements for new enum values: a value can be used only after the transaction that adds it."""
        now = self._rows(self.now, ENUMS)
        return [
            f"alter type {name} add value if not exists {value};"
            for name, row in self._rows(self.wanted, ENUMS).items() if name in now
            for value in row["values"] if value not in now[name]["values"]]

    @staticmethod
    def _rows(database, query):
        return {row["name"]: row for row in database.rows(query)}

    def _pairs(self, query):
        now, wanted = self._rows(self.now, query), self._rows(self.wanted, query)
        return [(name, now.get(name), wanted.get(name)) for name in sorted(now | wanted)]

    def simple(self, query, drop, make, replaced=False):
        """Adds statements for objects that one statement creates and another drops. With `replaced`, an object must
        be dropped before it can be created again. Objects of a new table, except triggers, are created with the table."""
        for name, now, wanted in self._pairs(query):
            row = wanted or now
            is_new = row.get("relation") in self.new_tables and query is not TRIGGERS
            if is_new or now == wanted or self._comes(name):
                continue
            if wanted is None or (replaced and (now or query is POLICIES)):
                self.found.append(drop.format(**row))
            if wanted:
                self.found.append(make(wanted))

    def _comes(self, name):
        """True if it is a comment on a new table or on a column of one."""
        return any(f"{name}.".startswith(f"{kind} {table}.") for kind in ("table", "column") for table in self.new_tables)

    def tables(self):
        self.new_tables = set()
        for name, now, wanted in self._pairs(TABLES):
            if now is None:
                self.new_tables.add(name)
                # Triggers come later, because one can call a new function.
                self.found += [
                    repeatable(each.whole) for each in self.source
                    if each.target == name and not each.text.startswith("create or replace trigger")]
            elif wanted and now["is"] != wanted["is"] and wanted["is"]:
                self.found.append(f"alter table {name} set ({wanted['is']});")

    def columns(self):
        for _, now, wanted in self._pairs(COLUMNS):
            if wanted is None or wanted["relation"] in self.new_tables or now == wanted:
                continue
            alter, column = f"alter table {wanted['relation']}", wanted["part"]
            if now is None:
                self.found.append(
                    f"{alter} add column if not exists {column} {wanted['type']}"
                    + (f" default {wanted['default']}" if wanted["default"] else "") + (" not null" if wanted["required"] else "") + ";")
                continue
            if now["default"] != wanted["default"]:
                self.defaults.append(f"{alter} alter column {column} " + (f"set default {wanted['default']};" if wanted["default"] else "drop default;"))
            if now["required"] and not wanted["required"]:
                self.found.append(f"{alter} alter column {column} drop not null;")

    def constraints(self):
        for _, now, wanted in self._pairs(CONSTRAINTS):
            row = wanted or now
            if row["relation"] in self.new_tables or now == wanted:
                continue
            self.found.append(f"alter table {row['relation']} drop constraint if exists {row['part']};")
            if wanted:
                self.found.append(f"alter table {row['relation']} add constraint {row['part']} {row['is']};")

    def functions(self):
        """Removed functions come first, because a function can be created again with other arguments."""
        pairs = self._pairs(FUNCTIONS)
        self.found += [f"drop function if exists {name};" for name, _, wanted in pairs if wanted is None]
        changed = {wanted["plain"] for _, now, wanted in pairs if wanted and now != wanted and (now is None or now["shape"] == wanted["shape"])}
        self.found += [each.whole for each in self.source if each.target in changed]


def once(statement, kind):
    """Returns a CREATE statement that does nothing if the object exists."""
    return statement.replace(f"{kind} ", f"{kind} IF NOT EXISTS ", 1)


def repeatable(statement):
    """Returns a statement of schemas/ that can run again."""
    for kind in ("table", "unlogged table", "index", "unique index", "statistics", "sequence"):
        statement = statement.replace(f"create {kind} ", f"create {kind} if not exists ", 1)
    return statement


def literal(text):
    return "'" + text.replace("'", "''") + "'"
