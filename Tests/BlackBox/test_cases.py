"""Runs the real binary once for every case of Tests/Cases/HANDLER.toml. Tests/README.md describes the format."""

import pytest

import case_run
import cases
from common import HANDLERS


@pytest.fixture(scope="module")
def shared_database(cluster):
    return cluster.migrated()


@pytest.mark.parametrize("handler, name", [pytest.param(*each, id="/".join(each)) for each in cases.names()])
def test_case(handler, name, request):
    case = cases.case(handler, name)
    database = None
    if case.database and case_run.changes_the_schema(case):
        database = request.getfixturevalue("database")
    elif case.database:
        database = request.getfixturevalue("shared_database")
        database.wipe()
    case_run.check(case, case_run.run(case, database), database)


def test_every_handler_has_cases():
    assert sorted(path.name for path in HANDLERS.glob("[!.]*")) == cases.handlers()
