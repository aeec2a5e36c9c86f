"""Setups in which leads would be refused, or stored without a notification, are reported at the start and in /health."""


import pytest

from admin import KEY, AdminClient
from cluster import leadpipe
from common import TEST_USER, until
from instance import Instance


@pytest.fixture
def database(cluster):
    database = cluster.migrated()
    yield database
    cluster.drop(database)


def login(database, name):
    return database.url.replace("//leadpipe@", f"//leadpipe_{name}@")


def test_a_worker_without_a_channel_does_not_start(database):
    for words in (("worker",), ("worker", "--check")):
        done = leadpipe(*words, DATABASE_URL=database.url, seconds=20)
        assert done.returncode == 78 and "no channel is configured" in done.stderr, done.stderr


@pytest.mark.parametrize("words", [("gateway",), ("gateway", "--check"), ("worker", "--check")])
def test_a_service_without_a_database_does_not_start(words):
    done = leadpipe(*words, PORT="0", SLACK_WEBHOOK_URL="https://hooks.slack.com/services/x", seconds=20)
    assert done.returncode == 78 and "DATABASE_URL is missing" in done.stderr, done.stderr


def test_a_check_of_the_database_names_the_login_and_the_grant(database):
    wrong = {"DATABASE_URL_INTAKE": login(database, "worker"), "DATABASE_URL_ADMIN": login(database, "admin"), "PORT": "0"}
    assert leadpipe("gateway", "--check", **wrong).returncode == 0
    done = leadpipe("gateway", "--check", "--database", **wrong)
    assert done.returncode == 78 and "DATABASE_URL_INTAKE" in done.stderr and "GRANT leadpipe_intake TO" in done.stderr, done.stderr
    right = {**wrong, "DATABASE_URL_INTAKE": login(database, "intake")}
    assert leadpipe("gateway", "--check", "--database", **right).returncode == 0


def test_a_check_of_a_database_that_is_not_migrated_says_so(cluster):
    empty = cluster.empty()
    try:
        done = leadpipe("gateway", "--check", "--database", DATABASE_URL=empty.url, PORT="0")
        assert done.returncode == 78 and "the database is not migrated; run `leadpipe migrate`" in done.stderr, done.stderr
    finally:
        cluster.drop(empty)


def test_a_gateway_whose_login_may_not_store_leads_reports_it(database):
    instance = Instance(command=("gateway",), DATABASE_URL_INTAKE=login(database, "worker"), DATABASE_URL_ADMIN=login(database, "admin"))
    instance.start(ready=False)
    try:
        instance.wait_log("Gateway listening")
        assert "[ERROR] " in instance.log and "GRANT leadpipe_intake TO" in instance.log
        status, _, health = instance.http("/health")
        assert (status, health["status"]) == (503, "unavailable")
        assert health["reasons"] == ["the login of class intake may not store leads; `leadpipe gateway --check --database` says what is missing"]
    finally:
        instance.stop()


def test_events_that_were_closed_without_a_channel_are_explained_and_planned_again(database):
    settings = {"DATABASE_URL": database.url, "ADMIN_API_KEY": KEY}
    with Instance(ENABLE_NOTIFICATION_WORKER="false", **settings) as instance:
        lead = instance.capture(TEST_USER)
        explained = " ".join(AdminClient(instance).get(f"/api/admin/conversations/{lead}/explain")["sentences"])
        assert "not planned yet; no worker has ever been seen: start `leadpipe worker`" in explained
        database.run("update lead_events set planned_at = now(), processed = true, processed_at = now()")
        explained = " ".join(AdminClient(instance).get(f"/api/admin/conversations/{lead}/explain")["sentences"])
        assert "No channel was configured for lead.created when it was planned" in explained and "`leadpipe event replay --id" in explained
    done = leadpipe("event", "replay", "--from", "1h", DATABASE_URL=database.url)
    assert "1 event without notifications will be planned again" in done.stdout, done.stdout
    with Instance(**settings) as instance:
        try:
            until(lambda: database.count("notification_logs", "status = 'sent'") == 3, 20, "the notifications")
        except AssertionError:
            rows = database.rows("select channel, status, error_message, next_attempt_at, leased_by, begun_at from notification_logs")
            raise AssertionError(f"{rows}\n{instance.log}") from None
