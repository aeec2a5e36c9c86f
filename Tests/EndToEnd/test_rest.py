"""Handlers and worker with SUPABASE_URL and a service key in place of DATABASE_URL: they call the same functions through
the project's REST interface."""

import json

import pytest

import handlers
from common import TEST_USER
from postgrest import SECRET_KEY, SERVICE_TOKEN, PostgREST

KEYS = {"token": SERVICE_TOKEN, "secret key": SECRET_KEY}


@pytest.fixture
def project(database):
    with PostgREST(database) as project:
        yield project


@pytest.mark.parametrize("kind", KEYS)
def test_lead_is_stored_with_either_kind_of_key(kind, project, database):
    done = handlers.run("lead-capture", TEST_USER, **project.settings | {"SUPABASE_SERVICE_ROLE_KEY": KEYS[kind]})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["id"] == database.text("select id from conversations")
    assert database.count("lead_events") == 1
    (name, headers), = project.calls
    assert name == "capture_lead" and headers["apikey"] == KEYS[kind]
    assert headers.get("Authorization") == (f"Bearer {SERVICE_TOKEN}" if kind == "token" else None)


def test_step_of_the_worker_claims(project, database):
    handlers.run("lead-capture", TEST_USER, **project.settings)
    channels = '[{"channel": "slack", "recipient": "default"}]'
    done = handlers.run("event-claim", {}, LEADPIPE_CHANNELS=channels, **project.settings)
    assert done.returncode == 0, done.stderr
    assert [line["channel"] for line in handlers.lines(done.stdout)] == ["slack"]
