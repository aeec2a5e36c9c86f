"""`leadpipe check`: on a good deployment no item is ✗; with one fault exactly its item is, and its advice mends it."""

import email
import email.policy
import json
import re
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

from cluster import leadpipe
from common import BIN, REPO, clean_environment, until
from deployment import KEY, Deployment
from nginx import nginx
from stubs import MailServer, Providers

SAMPLE_KEY = "TrueNester2025_AdminAPI_SecureKey_Dubai_Development_Production_v1"


class Mail(MailServer):
    """Accepts mail unless `refusal` is set."""

    refusal = None

    async def handle_MAIL(self, _server, _session, envelope, address, options):
        if self.refusal:
            return self.refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"


@pytest.fixture(scope="module")
def parts(cluster, tmp_path_factory):
    providers, mail, database = Providers(), Mail(), cluster.migrated()
    providers.answers["slack"] = lambda message: None if message["path"].endswith("secretwebhook") else (404, "no_service", {})
    folder = tmp_path_factory.mktemp("deployment")
    try:
        with Deployment(database, folder, {**providers.settings, **mail.settings}) as deployment:
            deployment.providers, deployment.mail = providers, mail
            yield deployment
    finally:
        providers.close()
        mail.close()
        cluster.drop(database)


@pytest.fixture
def deployment(parts):
    """The deployment before a test, which leaves it as it was."""
    parts.check().good()
    return parts


# ── A good deployment ──

def test_every_item_of_a_good_deployment_is_fulfilled_or_does_not_apply(parts):
    before = parts.rows()
    checked = parts.check().good()
    skipped = {name for name, item in checked.items.items() if item["result"] == "skipped"}
    assert skipped == set(), {name: checked.items[name]["evidence"] for name in skipped}
    assert parts.rows() == before


def test_text_has_a_mark_for_each_item_and_a_summary(parts):
    done = leadpipe("check", **parts.check_environment())
    assert done.returncode == 0, done.stdout
    items = parts.check().items
    assert sum(line.startswith("  ✓ ") for line in done.stdout.splitlines()) == len(items)
    assert done.stdout.splitlines()[-1] == f"{len(items)} ✓, 0 ✗, 0 –"


def test_everything_that_left_the_house_is_marked_as_a_test(parts):
    parts.providers.received.clear()
    parts.mail.envelopes.clear()
    parts.check().good()
    messages = [message["body"] for message in parts.providers.received]
    assert len(messages) == 2 and all("[test] Leadpipe check" in message for message in messages)
    envelope, = parts.mail.envelopes
    assert "[test]" in email.message_from_bytes(envelope.content, policy=email.policy.default)["Subject"]


def test_no_agent_gets_the_test_lead(parts):
    parts.database.run("insert into agents (id, name, status) values ('00000000-0000-4000-8000-0000000000a1', 'Agent', 'available')")
    try:
        before = parts.rows()
        parts.check().good()
        time.sleep(1.5)
        assert parts.rows() == before
        assert parts.database.count("leadpipe.assignment_decisions") == 0
    finally:
        parts.database.run("delete from agents")


def test_dry_run_sends_and_stores_nothing(parts):
    done = leadpipe("check", "--dry-run", "--url", "http://127.0.0.1:1")
    assert done.returncode == 0 and done.stderr == ""
    planned = [json.loads(line)["id"] for line in leadpipe("check", "--dry-run", "--json").stdout.splitlines()]
    assert planned == list(parts.check().items)
    assert all(f"  {name}: " in done.stdout for name in planned)


def test_without_a_database_what_can_be_seen_from_outside_is_examined(parts):
    before = parts.rows()
    done = leadpipe("check", "--json", "--url", f"http://127.0.0.1:{parts.port}/", LEADPIPE_STATE="/nonexistent")
    results = {line["id"]: line["result"] for line in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, done.stdout
    passed = {name for name, result in results.items() if result == "passed"}
    assert {"interfaces.health", "interfaces.chatbot", "interfaces.contact", "interfaces.newsletter", "admin.panel", "security.cors",
            "security.admin", "security.rate-limit", "security.public-files"} <= passed
    assert {"before.database", "after.capture", "security.rls", "monitoring.backlog"} <= {n for n, r in results.items() if r == "skipped"}
    assert parts.rows() == before


def test_the_services_own_logins_are_enough_for_the_test_lead(parts):
    """They may not read tables, so only the migrations and the monitoring queries are not examined."""
    url = parts.database.url
    logins = {f"DATABASE_URL_{name.upper()}": url.replace("leadpipe@", f"leadpipe_{name}@") for name in ("intake", "admin", "worker")}
    checked = parts.check(DATABASE_URL=None, **logins).good()
    skipped = {name for name, item in checked.items.items() if item["result"] == "skipped"}
    assert {name for name in skipped if not name.startswith("monitoring.")} == {"before.migrations"}


@pytest.mark.parametrize("words", [["--url", "ftp://x"], ["--url", "http://truenester.com"], ["--url", "https://truenester.com/?a=1"], ["more"]])
def test_wrong_arguments_are_refused(words):
    assert leadpipe("check", *words).returncode == 64


# ── It leaves nothing behind ──

def started(deployment, **more):
    return subprocess.Popen([str(BIN / "leadpipe"), "check", "--json"], env=clean_environment(**deployment.check_environment(**more)), cwd="/",
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def slow_slack(deployment):
    deployment.providers.answers["slack"] = "hold"
    try:
        yield
    finally:
        deployment.providers.answers["slack"] = lambda message: None if message["path"].endswith("secretwebhook") else (404, "no_service", {})
        deployment.providers.release.set()
        time.sleep(0.2)
        deployment.providers.release.clear()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_signal_nothing_is_left(deployment, number):
    before = deployment.rows()
    with slow_slack(deployment):
        process = started(deployment)
        until(lambda: deployment.database.count("notification_logs", "channel = 'slack' and status = 'sending'"), 15, "the delivery")
        process.send_signal(number)
        out, errors = process.communicate(timeout=20)
    assert process.returncode == 1 and errors == "interrupted\n"
    results = {line["id"]: line for line in map(json.loads, out.splitlines())}
    assert results["after.removed"]["result"] == "passed"
    assert results["security.cors"]["evidence"] == "interrupted"
    until(lambda: deployment.rows() == before, 10, "the rows to be gone")
    leadpipe("channel", "resume", "slack", **deployment.check_environment())


def test_a_later_check_removes_what_a_killed_one_has_left(deployment):
    before = deployment.rows()
    with slow_slack(deployment):
        process = started(deployment)
        until(lambda: deployment.database.count("notification_logs", "channel = 'slack' and status = 'sending'"), 15, "the delivery")
        process.kill()
        process.communicate(timeout=10)
    until(lambda: not deployment.database.count("lead_events", "not processed"), 15, "the deliveries")
    # A quarter of an hour later.
    deployment.database.run("update conversations set created_at = created_at - interval '20 minutes'; "
                            "update idempotency_keys set created_at = created_at - interval '20 minutes'")
    deployment.check().good()
    deployment.database.run("delete from admin_sessions")
    assert deployment.database.text("select action from leadpipe.audit_log order by id desc limit 1") == "test_leads.removed"
    after = {**deployment.rows(), "public.admin_sessions": before["public.admin_sessions"]}
    assert after == {**before, "leadpipe.audit_log": after["leadpipe.audit_log"]}


def test_a_lead_of_a_visitor_is_never_taken_for_a_test_lead(parts):
    """Its event says that it was none when it was created."""
    parts.database.run("""
        insert into conversations (id, customer_name, metadata, created_at)
          values ('00000000-0000-4000-8000-0000000000c1', '[test] Leadpipe check', '{"leadpipeCheck": true}', now() - interval '1 hour');
        insert into lead_events (event_type, conversation_id, payload, processed, planned_at)
          values ('lead.created', '00000000-0000-4000-8000-0000000000c1', '{"customerName": "Sara"}', true, now())""")
    try:
        parts.check().good()
        assert parts.database.count("conversations") == 1
    finally:
        parts.database.run("delete from conversations")


# ── Faults ──

DATABASE_FAULTS = [
    ("a column is missing", "alter table conversations drop column device_info", "before.columns"),
    ("a table is missing", "drop table notification_logs", "before.tables"),
    ("events are off", "drop table notification_logs, follow_up_tasks, conversation_timeline, lead_events", "before.events"),
    ("another table is missing", "drop table leadpipe.sla_sweep", "before.tables"),
    ("a migration is missing",
     "delete from supabase_migrations.schema_migrations where version = (select max(version) from supabase_migrations.schema_migrations)",
     "before.migrations"),
    ("row-level security is off", "alter table lead_events disable row level security", "security.rls"),
    ("anon may read a table", "grant select on conversations to anon", "security.anon"),
    ("anon may call a function", "grant execute on function capture_lead(jsonb) to anon", "security.anon"),
]


@pytest.mark.parametrize(("change", "item"), [pytest.param(change, item, id=name) for name, change, item in DATABASE_FAULTS])
def test_fault_in_the_database_is_found_and_mended(parts, change, item):
    parts.database.run(change)
    advice = parts.check().only(item)
    if advice == "run `leadpipe migrate`":
        assert leadpipe("migrate", **parts.settings).returncode == 0
    elif item.startswith("security."):
        parts.database.run(advice.split("\n", 1)[1])
    else:
        parts.follow(advice)
        parts.start_gateway()
        parts.start_worker()
    parts.check().good()


SETTING_FAULTS = [
    ("the database is not reachable", {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/leadpipe"}, "before.database", "DATABASE_URL"),
    ("the zone does not exist", {"TIME_ZONE": "Asia/Dubay"}, "before.settings", "settings.md"),
    ("a setting is misspelt", {"RATE_LIMIT_LEADS": "10/60"}, "before.settings", "settings.md"),
    ("the address of the site is none", {"FRONTEND_URL": "truenester"}, "before.settings", "settings.md"),
    ("the admin key is not set", {"ADMIN_API_KEY": None}, "before.admin-key", "openssl rand"),
    ("the worker is disabled", {"ENABLE_NOTIFICATION_WORKER": "false"}, "before.worker-enabled", "ENABLE_NOTIFICATION_WORKER=true"),
    ("no channel is configured",
     dict.fromkeys(["SLACK_WEBHOOK_URL", "TELEGRAM_API_URL", "TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID", "EMAIL_HOST", "EMAIL_PORT", "EMAIL_FROM", "EMAIL_TO"]),
     "before.channels", "SLACK_WEBHOOK_URL"),
    ("a class has no rights", {"DATABASE_URL_INTAKE": "stranger"}, "before.logins", "run the statement"),
]


@pytest.mark.parametrize(("settings", "item", "advice"), [pytest.param(*fault, id=name) for name, *fault in SETTING_FAULTS])
def test_fault_in_the_settings_is_found(deployment, settings, item, advice):
    """The next check, without the fault, shows that the advice mends it."""
    if "DATABASE_URL_INTAKE" in settings:
        deployment.database.run("do $$ begin create role stranger login; exception when duplicate_object then null; end $$")
        settings = {"DATABASE_URL_INTAKE": deployment.database.url.replace("leadpipe@", "stranger@")}
    assert advice in deployment.check(**settings).only(item)


GATEWAY_FAULTS = [
    ("a foreign origin is allowed", [], {"ALLOWED_ORIGINS": "http://truenester.com"}, "security.cors", "ALLOWED_ORIGINS"),
    ("the site is not allowed", [], {"FRONTEND_URL": None}, "security.cors", "FRONTEND_URL"),
    ("a rate limit is off", [], {"RATE_LIMIT_LEAD": "off"}, "security.rate-limit", "RATE_LIMIT_LEAD"),
    ("visitors choose their addresses", [], {"TRUSTED_PROXIES": "127.0.0.1"}, "security.proxy", "TRUSTED_PROXIES"),
    ("the contact form is not served", ["--only", "health-check,lead-capture,newsletter-subscribe,session-open,session-show,session-close,live-show,"
                                        "conversation-timeline,conversation-show,conversation-list,sla-list"], {}, "interfaces.contact", "--only"),
    ("the admin key is another one", [], {"ADMIN_API_KEY": KEY[::-1]}, "admin.login", "ADMIN_API_KEY"),
    ("the panel is off", [], {"PANEL": "off"}, "admin.panel", "PANEL_DIR"),
]


@pytest.mark.parametrize(("words", "settings", "item", "advice"), [pytest.param(*fault, id=name) for name, *fault in GATEWAY_FAULTS])
def test_fault_in_the_gateway_is_found_and_mended(parts, words, settings, item, advice):
    parts.start_gateway(*words, **settings)
    try:
        found = parts.check().only(item)
    finally:
        parts.start_gateway()
    assert advice in found
    parts.check().good()


def test_sample_key_is_found(deployment):
    deployment.start_gateway(ADMIN_API_KEY=SAMPLE_KEY)
    try:
        assert "openssl rand" in deployment.check(ADMIN_API_KEY=SAMPLE_KEY).only("before.secrets")
    finally:
        deployment.start_gateway()


def test_wrong_address_is_found(deployment):
    assert "--url" in deployment.check("--url", f"http://127.0.0.1:{deployment.port}/wrong").only("interfaces.health")


def test_nobody_at_the_address_is_found(deployment):
    assert "start the gateway" in deployment.check("--url", "http://127.0.0.1:1").only("interfaces.health")


def test_gateway_of_another_database_is_found(deployment, cluster):
    other = cluster.migrated()
    deployment.start_gateway(DATABASE_URL=other.url)
    try:
        checked = deployment.check()
        assert "set DATABASE_URL to the database of the instance" in checked.failed["after.capture"][1]
    finally:
        deployment.start_gateway()
        cluster.drop(other)


def test_readable_file_with_secrets_is_found_and_mended(deployment):
    file = deployment.state / "env"
    file.chmod(0o644)
    try:
        advice = deployment.check().only("before.secret-files")
        subprocess.run(["bash", "-c", advice.split("\n")[0]], check=True, timeout=10)
        assert file.stat().st_mode & 0o777 == 0o600
        deployment.check().good()
    finally:
        file.chmod(0o600)


@pytest.mark.parametrize("text", ["window.key = 'sb_secret_abcdefgh'", f"const key = '{KEY}'",
                                  "k='eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.AAAA'"], ids=["secret", "admin-key", "token"])
def test_secret_in_a_public_file_is_found(parts, tmp_path, text):
    (tmp_path / "index.html").write_text("<!doctype html><script src=\"app.js\"></script>")
    (tmp_path / "app.js").write_text(text)
    parts.start_gateway(PANEL_DIR=str(tmp_path))
    try:
        assert "make a new key" in parts.check(PANEL_DIR=str(tmp_path)).only("security.public-files")
        (tmp_path / "app.js").write_text("")
        parts.start_gateway(PANEL_DIR=str(tmp_path))
        parts.check(PANEL_DIR=str(tmp_path)).good()
    finally:
        parts.start_gateway()


def test_untrusted_proxy_is_found_and_mended(deployment, tmp_path):
    with nginx(tmp_path / "nginx", deployment.port) as port:
        url = f"http://127.0.0.1:{port}"
        assert "TRUSTED_PROXIES" in deployment.check("--url", url).only("security.proxy")
        deployment.start_gateway(TRUSTED_PROXIES="127.0.0.1")
        try:
            deployment.check("--url", url, TRUSTED_PROXIES="127.0.0.1").good()
        finally:
            deployment.start_gateway()


def test_proxy_that_opens_the_admin_interface_is_found_and_mended(deployment, tmp_path):
    """A proxy that adds the key to GET requests without one lets anybody read. A key added to a log-in would be a second
    fault, because the gateway refuses two keys."""
    adds_key = f"""set $key $http_x_admin_api_key;
    set $asked "$request_method$http_authorization$http_x_admin_api_key$http_cookie";
    if ($asked = "GET") {{ set $key {KEY}; }}
    proxy_set_header X-Admin-API-Key $key;"""
    deployment.start_gateway(TRUSTED_PROXIES="127.0.0.1")
    try:
        for folder, more in ("open", adds_key), ("mended", ""):
            with nginx(tmp_path / folder, deployment.port, more=more) as port:
                checked = deployment.check("--url", f"http://127.0.0.1:{port}", TRUSTED_PROXIES="127.0.0.1")
            if more:
                assert "remove the key that the proxy in front adds" in checked.only("security.admin")
                assert checked.failed["security.admin"][0] == "200 without a key"
            else:
                checked.good()
    finally:
        deployment.start_gateway()


WORKER_FAULTS = [
    ("the webhook is wrong", {"SLACK_WEBHOOK_URL": "http://127.0.0.1:PORT/services/T0/B0/wrong"}, "after.slack", "SLACK_WEBHOOK_URL"),
    ("the worker lacks a channel", {"TELEGRAM_BOT_TOKEN": None, "TELEGRAM_CHAT_ID": None, "TELEGRAM_API_URL": None}, "after.logs", "settings of this shell"),
]


@pytest.mark.parametrize(("settings", "item", "advice"), [pytest.param(*fault, id=name) for name, *fault in WORKER_FAULTS])
def test_fault_in_the_worker_is_found_and_mended(deployment, settings, item, advice):
    before = deployment.rows()
    deployment.start_worker(**{name: value and value.replace("PORT", str(deployment.providers.port)) for name, value in settings.items()})
    try:
        found = deployment.check().only(item)
    finally:
        deployment.start_worker()
    assert advice in found
    deployment.check().good()
    assert deployment.rows() == before


def test_refusing_mail_server_is_found_and_mended(deployment):
    deployment.mail.refusal = "535 5.7.8 authentication failed"
    try:
        assert "EMAIL_PASS" in deployment.check().only("after.email")
    finally:
        deployment.mail.refusal = None
    leadpipe("channel", "resume", "email", **deployment.check_environment())
    deployment.check().good()


def test_stopped_worker_is_found_and_mended(deployment):
    deployment.stop("worker")
    try:
        assert "leadpipe worker" in deployment.check().only("after.worker")
    finally:
        deployment.start_worker()
    deployment.check().good()


# ── Monitoring ──

OLD_EVENT = """insert into lead_events (event_type, processed, planned_at, created_at)
  values ('lead.created', false, now(), now() - interval '1 hour')"""


def test_backlog_is_found(deployment):
    deployment.database.run(OLD_EVENT)
    try:
        assert "see that a worker runs" in deployment.check().only("monitoring.backlog")
    finally:
        deployment.database.run("delete from lead_events")


def test_lead_that_was_stored_without_events_is_found_and_mended(deployment):
    """A worker that announces such leads sends it."""
    deployment.database.run("""
        insert into conversations (id, customer_name) values ('00000000-0000-4000-8000-0000000000c1', 'Sara Ahmed');
        insert into leadpipe.unsent_leads (event_type, conversation_id, payload, created_at) values
          ('lead.created', '00000000-0000-4000-8000-0000000000c1', '{"customerName": "Sara Ahmed"}', now() - interval '1 hour')""")
    try:
        checked = deployment.check()
        assert "DIRECT_NOTIFICATIONS=true" in checked.only("monitoring.unsent")
        assert checked.failed["monitoring.unsent"][0].startswith("1 leads that were stored while events were off are not announced")
        deployment.start_worker(DIRECT_NOTIFICATIONS="true")
        until(lambda: not deployment.database.count("leadpipe.unsent_leads"), 15, "the message")
        deployment.check().good()
    finally:
        deployment.database.run("delete from conversations")
        deployment.start_worker()


def test_failed_notification_is_found_and_mended(deployment):
    deployment.database.run("""
        insert into lead_events (id, event_type, processed, planned_at, payload)
          values ('00000000-0000-4000-8000-0000000000e1', 'lead.created', true, now(), '{"customerName": "Sara Ahmed"}');
        insert into notification_logs (lead_event_id, channel, status, error_message, event_at)
          values ('00000000-0000-4000-8000-0000000000e1', 'slack', 'failed', 'no_service', now())""")
    try:
        checked = deployment.check()
        assert "delivery retry" in checked.only("monitoring.failed")
        assert "slack: no_service" in checked.failed["monitoring.failed"][0]
        done = leadpipe("delivery", "retry", "--channel", "slack", **deployment.check_environment())
        assert done.returncode == 0, done.stderr
        until(lambda: not deployment.database.count("notification_logs", "status <> 'sent'"), 15, "the delivery")
        deployment.check().good()
    finally:
        deployment.database.run("delete from lead_events")


def test_late_lead_that_no_worker_has_noticed_is_found(deployment):
    """The worker is stopped too, so that nothing notices it."""
    deployment.stop("worker")
    deployment.database.run("insert into conversations (customer_name, created_at, sla_response_deadline)"
                            " values ('Sara', now() - interval '2 hours', now() - interval '1 hour')")
    try:
        checked = deployment.check(ENABLE_NOTIFICATION_WORKER="false")
        assert set(checked.failed) == {"before.worker-enabled", "monitoring.sla"}
    finally:
        deployment.database.run("delete from conversations")
        deployment.start_worker()
    deployment.check().good()


# ── The lists in the program ──

def test_tables_and_columns_are_those_of_a_migrated_database(deployment):
    """A check for a table of another name finds it missing; one that the list lacks is found here."""
    source = (REPO / "Sources/Store/ProductSchema.swift").read_text()
    lists = {name: re.findall(r'"(\w+)"', block) for name, block in re.findall(r"static let (\w+) = \[(.*?)\]", source, re.DOTALL)}

    def names(query):
        return set(deployment.database.text(query).splitlines())
    tables = "select relname from pg_class where relkind = 'r' and relnamespace = '{}'::regnamespace"
    assert set(lists["publicTables"]) == names(tables.format("public"))
    assert set(lists["internalTables"]) == names(tables.format("leadpipe"))
    assert set(lists["conversationColumns"]) == names(
        "select attname from pg_attribute where attrelid = 'public.conversations'::regclass and attnum > 0 and not attisdropped")
