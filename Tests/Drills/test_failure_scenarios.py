"""The failure scenarios of the deployment checklist, and three more. Each drill breaks the real thing while leads arrive,
prints what an operator sees, and repairs it. It passes only if every lead that was answered with 201 is stored and was
sent in every channel, and if the operator could see what was wrong."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from contextlib import contextmanager

import pytest

from admin import KEY
from cluster import leadpipe
from common import BIN, until
from drill import Drill
from instance import NO_LIMITS, Instance
from ledger import CHANNELS, NAME, lead
from sink import Sink
from traffic import Traffic

pytestmark = pytest.mark.seconds(240)


class Providers:
    """Two sinks: Slack has its own, so that one provider can be down alone."""

    def __init__(self, folder):
        (folder / "slack").mkdir()
        self.others, self.slack = Sink(folder), Sink(folder / "slack")
        self.settings = {**self.others.settings, "SLACK_WEBHOOK_URL": self.slack.settings["SLACK_WEBHOOK_URL"]}

    @contextmanager
    def without_slack(self):
        """Connections to Slack are refused. The port is kept, so that no other program takes it."""
        self.slack.close()
        with socket.socket() as keeper:
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            keeper.bind(("127.0.0.1", self.slack.http))
            yield
        self.slack.start()

    @property
    def messages(self):
        """The messages about leads."""
        return [message for message in self.others.messages + self.slack.messages if NAME.search(json.dumps(message["body"]))]

    def close(self):
        self.others.close()
        self.slack.close()


@contextmanager
def leads_arrive(folder, repeats=False, late=False, **settings):
    """An instance with its own database, and five leads a second. At the end all of them are accounted for."""
    providers = Providers(folder)
    try:
        with Instance(ADMIN_API_KEY=KEY, WORKER_POLL_SECONDS="1", **{**providers.settings, **settings}) as instance:
            drill = Drill(instance, KEY)
            with Traffic(instance, pause=0.2) as traffic:
                traffic.captures_more(20)
                yield drill, instance, providers, traffic
                traffic.captures_more(40)
            drill.say("Afterwards: every lead is stored, and was sent in every channel")
            seconds = traffic.wait_until_sent(instance.database, 120)
            until(lambda: instance.database.count("notification_logs", "status <> 'sent'") == 0, 60, "the last delivery")
            ledger = traffic.check(instance.database, providers, repeats=repeats, late=late)
            print(f"result   {len(traffic.captured)} leads with a 201, {len(ledger.deliveries)} messages, the last {seconds:.1f} s after the end;"
                  f" {len(ledger.repeats())} came again, marked; requests that were repeated by the client: {dict(traffic.refused) or 'none'}")
            drill.metrics()
            assert drill.tables() == (0, []) and drill.health()[0] == 200
    finally:
        providers.close()


def other_channels_get_everything(instance, traffic, broken):
    """The leads of now arrive in the channels that work."""
    captured = len(traffic.captured)
    for channel in CHANNELS:
        if channel != broken:
            until(lambda channel=channel: instance.database.count("notification_logs", f"status = 'sent' and channel = '{channel}'") >= captured, 20, channel)


def only_one_failed(drill, channel):
    _, failed = drill.tables()
    assert failed and all(row["channel"] == channel and row["error_message"] and row["next_attempt_at"] for row in failed), failed
    waiting = drill.panel()
    assert set(waiting) == set(CHANNELS) and waiting[channel] > 0, waiting


# ── The table of the checklist ──

def test_slack_webhook_down(tmp_path):
    """Detection: notification_logs shows "failed". Leads are saved; Telegram and email arrive."""
    with leads_arrive(tmp_path) as (drill, instance, providers, traffic):
        drill.say("Slack does not answer: connections are refused")
        with providers.without_slack():
            drill.log(r"\[WARN\].*slack")
            traffic.captures_more(30, count=10)
            only_one_failed(drill, "slack")
            other_channels_get_everything(instance, traffic, "slack")
        drill.say("Slack is back")


def test_smtp_down(tmp_path):
    """Detection: notification_logs shows "failed". Leads are saved; Slack and Telegram arrive."""
    with leads_arrive(tmp_path) as (drill, instance, providers, traffic):
        drill.say("The mail server refuses every message, as one that is out of disk does")
        assert providers.others.request("PUT", "/behaviour", {"email": [{"fail": "refuse", "say": "452 4.3.1 full", "at": "data", "percent": 100}]})[0] == 200
        drill.log(r"\[WARN\].*email")
        traffic.captures_more(30, count=10)
        only_one_failed(drill, "email")
        other_channels_get_everything(instance, traffic, "email")
        drill.say("The mail server accepts messages again")
        assert providers.others.request("PUT", "/behaviour", {})[0] == 200


def test_worker_crashes(tmp_path):
    """Events queue up, the worker is started again by itself, and sends them."""
    with leads_arrive(tmp_path, repeats=True) as (drill, instance, _, traffic):
        for _ in range(3):
            drill.say("The worker is killed")
            for worker in instance.processes("leadpipe worker"):
                os.kill(worker, signal.SIGKILL)
            drill.log(r"A service ended|worker.*(ended|restart)", r"Notification worker started")
            traffic.captures_more(30, count=5)
        drill.tables()
        drill.panel()


def test_database_down(tmp_path):
    """Captures are refused with 503, and the clients' retries succeed once the database is back."""
    with leads_arrive(tmp_path, repeats=True) as (drill, instance, _, traffic):
        drill.say("PostgreSQL is killed")
        os.kill(int((instance.cluster_home / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        status, _, problem = until(lambda: (reply := instance.http("/api/chatbot/leads", lead(900_000)))[0] != 201 and reply, 10, "a refusal")
        print(f"client   {status} {problem['code']}: {problem['detail']}")
        assert status == 503, problem
        drill.log(r"\[(WARN|ERROR)\].*(database|PostgreSQL)")
        drill.say("It is started again by itself")
        traffic.captures_more(60, count=5)


def test_high_load(tmp_path):
    """Events queue up, the worker catches up, no data is lost."""
    with leads_arrive(tmp_path) as (drill, instance, providers, traffic):
        drill.say("Sixteen clients send 2,000 leads as fast as they can; Slack and Telegram take 20 messages a second")
        slow = {channel: [{"fail": "slow", "milliseconds": 50, "percent": 100}] for channel in ("slack", "telegram")}
        assert providers.slack.request("PUT", "/behaviour", slow)[0] == providers.others.request("PUT", "/behaviour", slow)[0] == 200
        threads = [threading.Thread(target=lambda first=first: [traffic.send(number) for number in range(first, first + 125)])
                   for first in range(100_000, 102_000, 125)]
        for thread in threads:
            thread.start()
        most = 0
        for thread in threads:
            thread.join(120)
            most = max(most, int(instance.database.text("SELECT COUNT(*) FROM lead_events WHERE processed = FALSE")))
        drill.health()
        drill.tables()
        drill.panel()
        print(f"tables   at most {most} unprocessed events")
        assert most > 50, "the load was too small"
        assert providers.slack.request("PUT", "/behaviour", {})[0] == providers.others.request("PUT", "/behaviour", {})[0] == 200


# ── Beyond the table ──

def test_two_workers(tmp_path):
    """A second worker shares the work. One is stopped with SIGSTOP, as a machine that hangs, and later goes on."""
    with leads_arrive(tmp_path, repeats=True) as (drill, instance, _, traffic):
        drill.say("A second worker starts; the first one freezes")
        environment = {**instance.environment, "DATABASE_URL": instance.database.url}
        with subprocess.Popen([BIN / "leadpipe", "worker"], env=environment, stderr=subprocess.DEVNULL) as second:
            try:
                traffic.captures_more(20, count=10)
                first, *_ = instance.processes("leadpipe worker")
                os.kill(first, signal.SIGSTOP)
                traffic.captures_more(20, count=10)
                print(f"result   what was captured meanwhile was sent after {traffic.wait_until_sent(instance.database, 60):.1f} s")
                drill.say("The first worker goes on; the second one stops")
                os.kill(first, signal.SIGCONT)
                traffic.captures_more(20, count=5)
            finally:
                second.terminate()
                second.wait(30)


def test_poisoned_event(tmp_path):
    """Events with payloads that no program of ours writes hold up no others. They are sent as far as they can be read."""
    with leads_arrive(tmp_path) as (drill, instance, _, traffic):
        drill.say("Events with payloads of the wrong kind are inserted")
        payloads = ("[]", "null", '{"source": 7, "customerName": {"a": []}}', '{"notes": "' + "x" * 200_000 + '"}')
        ids = [instance.database.text(f"insert into lead_events (event_type, payload) values ('lead.created', '{payload}') returning id").split()[0]
               for payload in payloads]
        traffic.captures_more(30, count=10)
        print(f"result   what was captured after them was sent in {traffic.wait_until_sent(instance.database, 30):.1f} s")
        which = "({})".format(",".join(f"'{event}'" for event in ids))
        until(lambda: instance.database.count("lead_events", f"processed and id in {which}") == len(ids), 60, "them to be processed")
        for row in instance.database.rows(f"""
                select left(e.payload::text, 40) as payload,
                  string_agg(d.channel || ' ' || d.status || coalesce(' ' || d.error_message, ''), ', ') as deliveries
                from lead_events e join notification_logs d on d.lead_event_id = e.id where e.id in {which} group by e.id"""):
            print(f"tables   {row['payload']}: {row['deliveries']}")
        drill.say("They are removed, as an operator would")
        instance.database.run(f"delete from notification_attempts where delivery in (select id from notification_logs where lead_event_id in {which});"
                              f" delete from lead_events where id in {which}")


def test_restore_from_a_backup(tmp_path):
    """The machine with the database is lost. The backup is restored on a new one; what was pending waits for the operator."""
    providers, backup = Providers(tmp_path), tmp_path / "leadpipe.dump"
    settings = {"ADMIN_API_KEY": KEY, "WORKER_POLL_SECONDS": "1", **providers.settings}
    # The new machine has the default limits, as `leadpipe check` demands.
    limits = {name: "" for name in NO_LIMITS if name.startswith("RATE_LIMIT")}
    try:
        with Instance(**settings) as instance, Traffic(instance, pause=0.1) as traffic:
            traffic.captures_more(20, count=10)
            traffic.wait_until_sent(instance.database, 30)
            with providers.without_slack():
                traffic.captures_more(20, count=10)
                saved = dict(traffic.captured)
                Drill.say("A backup is made while leads arrive and Slack is down")
                show_output(instance, "backup", backup)
                traffic.captures_more(20, count=5)
                Drill.say("The database is destroyed")
                os.kill(int((instance.cluster_home / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
                shutil.rmtree(instance.cluster_home / "data", ignore_errors=True)
                traffic.is_over.set()
                status, _, problem = until(lambda: (reply := instance.http("/api/chatbot/leads", lead(900_000)))[0] != 201 and reply, 20, "a refusal")
                print(f"client   {status} {problem['code']}: {problem['detail']}")
        # What the lost worker sent between the backup and the end.
        sent_before = len(providers.messages)
        Drill.say("A new machine: an empty database, into which the backup is restored while gateway and worker run")
        with Instance(**settings, **limits) as instance:
            drill = Drill(instance, KEY)
            show_output(instance, "restore", backup)
            stored = set(instance.database.text("select id from conversations").split())
            assert set(saved.values()) <= stored, "leads from before the backup are missing"
            print(f"result   {len(stored)} leads are back; {len(set(traffic.captured.values()) - stored)} that came after the backup are lost")
            drill.page("/admin/inbox", "Lead 0")
            _, failed = drill.tables()
            assert failed and all("Held by a restore" in row["error_message"] for row in failed), failed
            drill.page("/admin/deliveries", "Held by a restore")
            assert len(providers.messages) == sent_before, "something was sent without the operator's word"
            Drill.say("The operator sends what was pending")
            show_output(instance, "restore", "--send-held")
            until(lambda: instance.database.count("notification_logs", "status <> 'sent'") == 0, 60, "the last delivery")
            marked = [message for message in providers.messages[:] if "(possible repeat)" in json.dumps(message["body"])]
            assert marked, "no message says that it may be a repeat"
            drill.metrics()
            assert drill.tables() == (0, []) and drill.health()[0] == 200
            Drill.say("leadpipe check")
            show_output(instance, "check")
    finally:
        providers.close()


def show_output(instance, *words):
    """Runs a command with the settings of the instance, and prints what it says."""
    settings = dict(line.split("=", 1) for line in (instance.state / "env").read_text().replace("export ", "").splitlines() if "=" in line)
    done = leadpipe(*map(str, words), seconds=90, **{**instance.environment, **{name: value.strip("'") for name, value in settings.items()}})
    print("command  leadpipe", *words)
    for line in (done.stdout + done.stderr).splitlines():
        print(f"command  {line[:200]}")
    assert done.returncode == 0, done
