"""The sink as a program: faults configured by a file and over loopback, and how the whole path handles them."""

import socket
import subprocess

import pytest

from cluster import leadpipe
from common import BIN, TEST_USER, clean_environment, until
from instance import Instance
from sink import Sink


@pytest.fixture
def start(tmp_path):
    running = []

    def begin(behaviour=None):
        running.append(Sink(tmp_path, behaviour))
        return running[-1]
    yield begin
    for sink in running:
        sink.close()


def test_lead_reaches_every_channel_through_one_fault_each(start, database):
    sink = start({
        "slack": [{"fail": "refuse", "say": "invalid_blocks"}],
        "telegram": [{"fail": "refuse", "say": "Bad Request: group chat was upgraded to a supergroup chat", "migrateTo": -100987},
                     {"fail": "refuse", "say": "Bad Request: can't parse entities"}],
        "email": [{"fail": "greylist", "at": "body", "percent": 100}]})
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **sink.settings) as instance:
        instance.capture(TEST_USER)
        until(lambda: database.count("notification_logs", "status = 'sent'") == 3, 25, "all three")
        instance.wait_log("note=Slack rejected the blocks (invalid_blocks): the message was sent as plain text")
        instance.wait_log("set TELEGRAM_CHAT_ID to")
    slack, telegram, mail = (next(m for m in sink.messages if m["channel"] == name) for name in ("slack", "telegram", "email"))
    assert len(sink.messages) == 3
    assert "blocks" not in slack["body"] and "Test User" in slack["body"]["text"]
    assert telegram["recipient"] == "-100987" and "parse_mode" not in telegram["body"] and "Test User" in telegram["body"]["text"]
    assert mail["recipient"] == "agents@example.com"
    # Slack and Telegram got their message in one attempt. The email needed a second one.
    tries = {row["channel"]: row["retry_count"] for row in database.rows("select channel, retry_count from notification_logs")}
    assert tries == {"slack": 1, "telegram": 1, "email": 2}
    status, counts = sink.request("GET", "/counts")
    assert status == 200 and counts["slack"] == {"taken": 1, "failed": {"invalid_blocks": 1}}
    assert counts["telegram"]["taken"] == 1 and sum(counts["telegram"]["failed"].values()) == 2
    assert counts["email"] == {"taken": 1, "failed": {"greylist at body": 1}}


@pytest.mark.parametrize("option", ["--http-port", "--smtp-port"])
def test_names_a_port_that_is_in_use(option, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--http-port": "0", "--smtp-port": "0", option: str(port)}
        done = leadpipe("sink", *(word for pair in ports.items() for word in pair), "--file", str(tmp_path / "sink.ndjson"))
    assert (done.returncode, done.stderr) == (1, f"Error: port {port} is in use; set {option} to another\n")


def test_resend_email_is_not_sent_twice_when_the_reply_is_lost(start, database):
    sink = start({"resend": [{"fail": "drop", "taken": True}]})
    settings = {"RESEND_API_KEY": "re_canary", "RESEND_API_URL": sink.settings["TELEGRAM_API_URL"], "EMAIL_FROM": "leads@example.com",
                "EMAIL_TO": "agents@example.com", "LEADPIPE_CHANNELS": '[{"channel":"email","recipient":"agents@example.com"}]'}
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **settings) as instance:
        instance.capture(TEST_USER)
        until(lambda: database.count("notification_logs", "status = 'sent'"), 25, "the mail")
        assert "re_canary" not in instance.log
    message, = sink.messages
    assert (message["channel"], message["recipient"]) == ("resend", "agents@example.com") and "Test User" in message["body"]
    assert database.text("select string_agg(class, ',' order by attempt) from notification_attempts") == "unknown,delivered"


def test_sets_shows_and_ends_a_behaviour(start):
    sink = start()
    status, empty = sink.request("GET", "/behaviour")
    assert (status, empty) == (200, {"seed": 1, "slack": [], "telegram": [], "email": [], "resend": []})
    behaviour = {"seed": 9, "slack": [{"fail": "refuse", "say": "no_service", "times": 2}]}
    status, shown = sink.request("PUT", "/behaviour", behaviour)
    assert status == 200 and shown["seed"] == 9
    assert sink.request("GET", "/behaviour")[1]["slack"] == [{"fail": "refuse", "say": "no_service", "status": 404, "times": 2}]
    for wrong in ("", "[]", '{"slack":[{"fail":"melt"}]}', '{"slack":[{"fail":"drop","percent":1.5}]}', '{"fax":[]}'):
        status, problem = sink.request("PUT", "/behaviour", wrong)
        assert status == 400 and problem["status"] == 400, wrong
    assert sink.request("GET", "/behaviour")[1] == shown, "an invalid behaviour changed something"
    assert sink.request("DELETE", "/behaviour") == (200, empty)


@pytest.mark.parametrize("text, said", [
    ("{", "is not valid JSON"), ('{"slack":[{"fail":"refuse"}],"fax":[]}', "slack[0] must have a status"), (None, "No such file")])
def test_rejects_an_invalid_file_and_starts_nothing(tmp_path, text, said):
    file = tmp_path / "wrong.json"
    if text is not None:
        file.write_text(text)
    done = subprocess.run([BIN / "leadpipe", "sink", "--http-port", "0", "--smtp-port", "0", "--file", tmp_path / "out", "--fail", file],
                          env=clean_environment(), capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and said in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()
