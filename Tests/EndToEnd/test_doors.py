"""One file of requests, sent through every way in: same status, headers and bytes everywhere.

The gateway by HTTP is the reference. It is compared with the expectations in doors/requests.toml, and every other door
with it. Each door starts from a clone of one database."""

import pytest

from common import REPO
from doors import DOORS
from doors.entries import entries
from doors.oracle import answers, differences, suits, table, unexpected

START = REPO / "Tests" / "EndToEnd" / "doors" / "start.sql"
ENTRIES = entries()
REFERENCE, *OTHERS = DOORS


@pytest.fixture(scope="module")
def start(cluster):
    database = cluster.migrated()
    database.run(START.read_text())
    yield database
    cluster.drop(database)


def answered(door, cluster, start, folder):
    """The replies of a door, with the door."""
    database = cluster.migrated(start.name)
    try:
        with door(database, folder / door.name) as opened:
            return answers(opened, ENTRIES), opened
    finally:
        cluster.drop(database)


@pytest.fixture(scope="module")
def reference(cluster, start, tmp_path_factory):
    return answered(REFERENCE, cluster, start, tmp_path_factory.mktemp("reference"))[0]


@pytest.mark.seconds(120)
def test_the_reference_answers_as_the_file_says(reference):
    found = [(entry.name, list(unexpected(entry, reference[entry.name][1], reference))) for entry in ENTRIES]
    found = [(name, lines) for name, lines in found if lines]
    assert not found, table(found)


@pytest.mark.seconds(120)
@pytest.mark.parametrize("door", OTHERS, ids=lambda door: door.name)
def test_every_door_answers_as_the_reference(door, reference, cluster, start, tmp_path):
    replies, opened = answered(door, cluster, start, tmp_path)
    asked = [entry for entry in ENTRIES if suits(entry, opened)]
    assert replies.keys() == {entry.name for entry in asked} and len(asked) >= 60
    found = [(entry.name, list(differences(entry, opened, *reference[entry.name], replies[entry.name][1]))) for entry in asked]
    found = [(name, lines) for name, lines in found if lines]
    assert not found, table(found)
