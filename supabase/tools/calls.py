#!/usr/bin/env python3
"""Records the functions that the executables of a release call, with their arguments and results, in
releases/VERSION.txt. VERSION is the last migration of the release. Tests/EndToEnd/test_schema.py compares the newest
schema with each record, because the executables of the release before must run on it.
Usage: calls.py VERSION"""

import sys

import database
import migration

CALLS = """
    select format('%s(%s) %s %s', p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
      (select string_agg(r, ',' order by r) from unnest(array['leadpipe_admin', 'leadpipe_intake', 'leadpipe_worker']) r
       where has_function_privilege(r, p.oid, 'execute'))) as call
    from pg_proc p where p.pronamespace = 'public'::regnamespace
      and exists (select from unnest(array['leadpipe_admin', 'leadpipe_intake', 'leadpipe_worker']) r
                  where has_function_privilege(r, p.oid, 'execute') and not has_function_privilege('anon', p.oid, 'execute'))
    order by 1"""


def calls(rows):
    """The calls that the handlers' roles may make, one a line: name, arguments, result and roles."""
    return [row["call"] for row in rows(CALLS)]


def main():
    versions = [path.stem[:14] for path in migration.migrations()]
    if len(sys.argv) != 2 or sys.argv[1] not in versions:
        sys.exit(f"Usage: calls.py VERSION   the last migration of the release, at the latest {versions[-1]}")
    with database.server() as environment:
        released = database.create("released", [path for path in migration.migrations() if path.stem[:14] <= sys.argv[1]], **environment)
        lines = calls(released.rows)
    path = database.SUPABASE / "releases" / f"{sys.argv[1]}.txt"
    path.write_text("\n".join(lines) + "\n")
    print(f"calls     {len(lines)} in {path.relative_to(database.SUPABASE.parent)}")


if __name__ == "__main__":
    main()
