"""Faults in a deployment, put in one at a time: exactly the items of the fault are ✗ in `leadpipe check`, and following the
advice mends it. docs/how-to/check-a-deployment.md has the list."""

import contextlib
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from cluster import leadpipe
from common import BIN, REPO, clean_environment, until
from deployment import KEY, watched
from nginx import nginx
from postgrest import ANON_TOKEN, SECRET_KEY, SERVICE_TOKEN

SAMPLE_KEY = "TrueNester2025_AdminAPI_SecureKey_Dubai_Development_Production_v1"
HANDLERS = ("health-check,lead-capture,contact-capture,newsletter-subscribe,session-open,session-show,session-close,live-show,"
            "conversation-timeline,conversation-show,conversation-list,sla-list")


class Scene:
    """A deployment with a fault, and how the check is run: its words and the settings that differ."""

    def __init__(self, deployment, folder, stack, cluster):
        self.deployment, self.folder, self.stack, self.cluster = deployment, folder, stack, cluster
        self.words, self.shell, self.proxy = [], {}, None
        # What was started by the test, and what of it now runs with wrong settings, or not at all.
        self.started, self.wrong = set(), set()

    def check(self):
        return self.deployment.check(*self.words, **self.shell)

    def start(self, part, *words, **settings):
        self.started.add(part)
        (self.wrong.add if words or settings else self.wrong.discard)(part)
        getattr(self.deployment, f"start_{part}")(*words, **settings)

    def stop(self, part):
        self.started.add(part)
        self.wrong.add(part)
        self.deployment.stop(part)

    def start_again(self):
        """Starts what was started with wrong settings, or stopped, with the right ones."""
        for part in sorted(self.wrong):
            self.start(part)

    def through(self, **options):
        """Puts nginx in front, and its address into --url."""
        if self.proxy:
            self.proxy.close()
        self.proxy = self.stack.enter_context(contextlib.ExitStack())
        port = self.proxy.enter_context(nginx(self.folder / f"nginx-{len(list(self.folder.iterdir()))}", self.deployment.port, **options))
        self.words = ["--url", f"http://127.0.0.1:{port}"]


@dataclass
class Fault:
    name: str
    # The item that is ✗.
    item: str
    put: Callable[[Scene], None]
    # What the advice must say, and what does that.
    says: str
    mend: Callable[[Scene, str], None]
    # Further items, where the fault breaks other promises too.
    others: set = field(default_factory=set)


# ── How a fault is put in ──

def sql(statements):
    return lambda scene: scene.deployment.database.run(statements)


def shell(*words, **settings):
    """Of the command alone: its settings are those of the instance, so a wrong one is found before the instance has it."""
    def wrong_setting(scene):
        scene.words, scene.shell = list(words), settings
    return wrong_setting


def gateway(*words, **settings):
    return lambda scene: scene.start("gateway", *words, **settings)


def worker(**settings):
    return lambda scene: scene.start("worker", **{
        name: value and value.replace("PORT", str(scene.deployment.providers.port)) for name, value in settings.items()})


def all_of(*steps):
    def put(scene):
        for step in steps:
            step(scene)
    return put


def stop(*parts):
    def put(scene):
        for part in parts:
            scene.stop(part)
    return put


def without(handler):
    return gateway("--only", HANDLERS.replace(handler + ",", ""))


def proxy(**options):
    return lambda scene: scene.through(**options)


def refuse_mail(scene):
    scene.deployment.mail.refusal = "535 5.7.8 authentication failed"
    scene.stack.callback(setattr, scene.deployment.mail, "refusal", None)


def stranger(scene):
    """A login that may connect and no more."""
    scene.deployment.database.run("do $$ begin create role stranger login; exception when duplicate_object then null; end $$")
    scene.shell = {"DATABASE_URL_INTAKE": scene.deployment.database.url.replace("leadpipe@", "stranger@")}


def other_database(scene):
    scene.other = scene.cluster.migrated()
    scene.stack.callback(scene.cluster.drop, scene.other)
    scene.stack.callback(scene.stop, "worker")
    scene.stack.callback(scene.stop, "gateway")
    scene.start("gateway", DATABASE_URL=scene.other.url)


def public_file(text):
    def put(scene):
        (scene.folder / "index.html").write_text("<!doctype html><script src=\"app.js\"></script>")
        (scene.folder / "app.js").write_text(text)
        scene.shell = {"PANEL_DIR": str(scene.folder)}
        scene.start("gateway", **scene.shell)
    return put


# ── How an advice is followed ──

def run_commands(scene, advice):
    scene.deployment.follow(advice)


def run_commands_and_start(scene, advice):
    scene.stop("worker")
    scene.deployment.follow(advice)
    scene.start("gateway")
    scene.start("worker")


def run_statements(scene, advice):
    scene.deployment.database.run(advice.split("\n", 1)[1])


def run_the_statement_of_the_evidence(scene, _advice):
    scene.deployment.database.run(re.search(r"GRANT [^;]*;", scene.evidence)[0])


def set_right(scene, _advice):
    """The settings that the advice names get the deployment's values, or are unset as there; what had wrong ones starts
    again."""
    scene.shell, scene.words = {}, scene.words if scene.proxy else []
    scene.start_again()


def set_to(*parts, **settings):
    """Sets what the advice names, where the deployment has it unset, and starts the parts again."""
    def mend(scene, _advice):
        scene.shell = settings
        for part in parts:
            scene.start(part, **settings)
    return mend


def new_key(scene, advice):
    key = subprocess.run(re.search(r"openssl rand -hex \d+", advice)[0].split(), capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    set_to("gateway", ADMIN_API_KEY=key)(scene, advice)


def only_slack(scene, advice):
    others = [name for name in scene.deployment.settings if name.startswith(("TELEGRAM", "EMAIL"))]
    set_to("gateway", "worker", **dict.fromkeys(others))(scene, advice)


def correct_the_channel(scene, advice):
    scene.stack.pop_all().close()
    scene.start_again()
    scene.deployment.follow(advice)


def retry(scene, advice):
    """Runs the commands of the advice with the id that its list has printed."""
    listing = re.search(r"`(leadpipe delivery list [^`]*)`", advice)[1]
    listed = subprocess.run([BIN / "leadpipe", *listing.split()[1:], "--json"], env=clean_environment(**scene.deployment.settings), capture_output=True,
                            text=True, timeout=20, check=True)
    ids = [json.loads(line)["id"] for line in listed.stdout.splitlines()]
    assert ids and "`leadpipe delivery retry ID`" in advice
    scene.deployment.follow(f"`leadpipe delivery retry {' '.join(ids)}`")
    until(lambda: not scene.deployment.database.count("notification_logs", "status <> 'sent'"), 15, "the delivery")
    until(lambda: not scene.deployment.database.count("lead_events", "not processed"), 15, "the event")


def announce(scene, advice):
    set_to("worker", DIRECT_NOTIFICATIONS="true")(scene, advice)
    until(lambda: not scene.deployment.database.count("leadpipe.unsent_leads"), 15, "the message")


def start_the_worker(scene, advice):
    set_right(scene, advice)
    until(lambda: not scene.deployment.database.count("conversations", "not sla_breached"), 15, "the deadline")


def check_the_other(scene, _advice):
    scene.shell = {"DATABASE_URL": scene.other.url}
    deployment, before = scene.deployment, scene.deployment.database
    deployment.database = scene.other
    try:
        scene.start("worker", **scene.shell)
    finally:
        deployment.database = before


def trust_the_proxy(scene, _advice):
    scene.shell = {"TRUSTED_PROXIES": "127.0.0.1"}
    scene.start("gateway", **scene.shell)


def through_a_plain_proxy(scene, _advice):
    scene.through()


def remove_from_the_file(scene, _advice):
    (scene.folder / "app.js").write_text("")
    scene.start("gateway", **scene.shell)


def set_the_anon_key(scene, _advice):
    scene.shell = scene.shell | {"VITE_SUPABASE_ANON_KEY": ANON_TOKEN}


NO_CHANNEL = dict.fromkeys(
    ["SLACK_WEBHOOK_URL", "TELEGRAM_API_URL", "TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID", "EMAIL_HOST", "EMAIL_PORT", "EMAIL_FROM", "EMAIL_TO"])
LEAD, EVENT = "00000000-0000-4000-8000-0000000000c1", "00000000-0000-4000-8000-0000000000e1"
# An event whose notification by Slack is `status`, at a time that `columns` and `values` describe.
NOTIFIED = """
    insert into lead_events (id, event_type, processed, planned_at, created_at, payload)
      values ('{event}', 'lead.created', {processed}, now(), now() - interval '1 hour', '{{"customerName": "Sara Ahmed"}}');
    insert into notification_logs (lead_event_id, channel, recipient, status, error_message, event_at{columns})
      values ('{event}', 'slack', 'default', 'failed', 'no_service', now(){values})"""
UNSENT = f"""
    insert into conversations (id, customer_name) values ('{LEAD}', 'Sara Ahmed');
    insert into leadpipe.unsent_leads (event_type, conversation_id, payload, created_at) values
      ('lead.created', '{LEAD}', '{{"customerName": "Sara Ahmed"}}', now() - interval '1 hour')"""
LATE = """insert into conversations (customer_name, created_at, sla_response_deadline)
    values ('Sara', now() - interval '2 hours', now() - interval '1 hour')"""
# A key added to a log-in would be a second fault, because the gateway refuses two keys.
ADDS_KEY = f"""set $key $http_x_admin_api_key;
    set $asked "$request_method$http_authorization$http_x_admin_api_key$http_cookie";
    if ($asked = "GET") {{ set $key {KEY}; }}
    proxy_set_header X-Admin-API-Key $key;"""

FAULTS = [
    # The database.
    Fault("the database cannot be reached", "before.database", shell(DATABASE_URL="postgresql://nobody@127.0.0.1:1/leadpipe"), "set DATABASE_URL", set_right),
    Fault("the event tables are dropped", "before.events",
          sql("drop table notification_logs, follow_up_tasks, conversation_timeline, lead_events"), "leadpipe migrate", run_commands_and_start),
    Fault("a table of the checklist is missing", "before.tables", sql("drop table notification_logs"), "leadpipe migrate", run_commands_and_start),
    Fault("an internal table is missing", "before.tables", sql("drop table leadpipe.sla_sweep"), "leadpipe migrate", run_commands_and_start),
    Fault("a column is missing", "before.columns", sql("alter table conversations drop column device_info"), "leadpipe migrate", run_commands_and_start),
    Fault("a migration is missing", "before.migrations",
          sql("delete from supabase_migrations.schema_migrations where version = (select max(version) from supabase_migrations.schema_migrations)"),
          "run `leadpipe migrate`", run_commands),
    Fault("the login of a class has no rights", "before.logins", stranger, "run the statement", run_the_statement_of_the_evidence),
    Fault("row-level security is off", "security.rls", sql("alter table lead_events disable row level security"), "ENABLE ROW LEVEL SECURITY",
          run_statements),
    Fault("anon may read a table", "security.anon", sql("grant select on conversations to anon"), "REVOKE", run_statements),
    Fault("anon may call a function", "security.anon", sql("grant execute on function capture_lead(jsonb) to anon"), "REVOKE", run_statements),
    # Settings.
    Fault("the zone does not exist", "before.settings", shell(TIME_ZONE="Asia/Dubay"), "correct them", set_right),
    Fault("a setting is misspelt", "before.settings", shell(RATE_LIMIT_LEADS="10/60"), "correct them", set_right),
    Fault("the address of the site is none", "before.settings", shell(FRONTEND_URL="truenester"), "correct them", set_right),
    Fault("a feature is on that does not exist", "before.settings", shell(FEATURE_WHATSAPP_ENABLED="true"), "correct them", set_right),
    Fault("the admin key is not set", "before.admin-key", all_of(gateway(ADMIN_API_KEY=None), shell(ADMIN_API_KEY=None)), "set ADMIN_API_KEY", new_key),
    Fault("the admin key is the checklist's", "before.secrets", all_of(gateway(ADMIN_API_KEY=SAMPLE_KEY), shell(ADMIN_API_KEY=SAMPLE_KEY)),
          "set a value of your own", new_key),
    Fault("everyone may read a file with secrets", "before.secret-files", lambda scene: (scene.deployment.state / "env").chmod(0o644), "chmod 600",
          lambda scene, advice: subprocess.run(["bash", "-c", advice.split("\n")[0]], check=True, timeout=10)),
    Fault("the worker is disabled", "before.worker-enabled", all_of(shell(ENABLE_NOTIFICATION_WORKER="false"), stop("worker")),
          "set ENABLE_NOTIFICATION_WORKER=true and start again", set_to("worker", ENABLE_NOTIFICATION_WORKER="true")),
    Fault("no channel is configured", "before.channels", shell(**NO_CHANNEL), "set SLACK_WEBHOOK_URL", only_slack),
    Fault("the service key is in the site's anon key", "security.service-key", shell(VITE_SUPABASE_ANON_KEY=SERVICE_TOKEN),
          "set VITE_SUPABASE_ANON_KEY to the anon or publishable key", set_the_anon_key),
    Fault("the project's secret key is in a variable of the site", "security.service-key",
          shell(SUPABASE_SERVICE_ROLE_KEY=SECRET_KEY, VITE_SUPABASE_ANON_KEY=SECRET_KEY), "make a new service key", set_the_anon_key),
    Fault("the admin key is in a variable of the site", "security.service-key", shell(VITE_ADMIN_KEY=KEY), "unset VITE_ADMIN_KEY", set_right),
    # The gateway.
    Fault("the gateway is stopped", "interfaces.health", stop("gateway"), "start the gateway", set_right),
    Fault("the address has a path", "interfaces.health", lambda scene: setattr(scene, "words", ["--url", f"http://127.0.0.1:{scene.deployment.port}/wrong"]),
          "correct --url", set_right),
    Fault("the chatbot's route is not served", "interfaces.chatbot", without("lead-capture"), "no --only without it", set_right),
    Fault("the contact form is not served", "interfaces.contact", without("contact-capture"), "no --only without it", set_right),
    Fault("the newsletter is not served", "interfaces.newsletter", without("newsletter-subscribe"), "no --only without it", set_right),
    Fault("the gateway has another database", "after.capture", other_database, "set DATABASE_URL to the database of the instance", check_the_other,
          # The lead is in the other database, where this run cannot remove it.
          others={"after.removed"}),
    Fault("a foreign origin is allowed", "security.cors", gateway(ALLOWED_ORIGINS="http://truenester.com"),
          "remove the origin from ALLOWED_ORIGINS", set_right),
    Fault("the site is not allowed", "security.cors", gateway(FRONTEND_URL=None), "start the gateway with the FRONTEND_URL of this shell", set_right),
    Fault("a rate limit is off", "security.rate-limit", gateway(RATE_LIMIT_LEAD="off"), "unset RATE_LIMIT_LEAD", set_right),
    Fault("visitors choose their addresses", "security.proxy", gateway(TRUSTED_PROXIES="127.0.0.1"), "unset it if there is none", set_right),
    Fault("the gateway has another admin key", "admin.login", gateway(ADMIN_API_KEY=KEY[::-1]), "start the gateway with the ADMIN_API_KEY of this shell",
          set_right),
    Fault("the panel is off", "admin.panel", gateway(PANEL="off"), "start the gateway without PANEL=off", set_right),
    Fault("the service key of a project is in a script", "security.public-files", public_file("window.key = 'sb_secret_abcdefgh'"), "remove it there",
          remove_from_the_file),
    Fault("the token of service_role is in a script", "security.public-files",
          public_file("k='eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.AAAA'"), "remove it there", remove_from_the_file),
    Fault("the admin key is in a script", "security.public-files", public_file(f"const key = '{KEY}'"), "make a new key", remove_from_the_file),
    # A proxy in front.
    Fault("the proxy is not trusted", "security.proxy", proxy(), "set TRUSTED_PROXIES to the proxy's addresses", trust_the_proxy),
    Fault("the proxy adds the admin key", "security.admin", all_of(lambda scene: trust_the_proxy(scene, ""), proxy(more=ADDS_KEY)),
          "remove the key that the proxy in front adds", through_a_plain_proxy),
    # The worker and its channels.
    Fault("the worker is stopped", "after.worker", stop("worker"), "start `leadpipe worker`", set_right),
    Fault("the worker lacks a channel", "after.logs", worker(TELEGRAM_BOT_TOKEN=None, TELEGRAM_CHAT_ID=None, TELEGRAM_API_URL=None),
          "start the worker with the settings of this shell", set_right),
    Fault("the webhook is wrong", "after.slack", worker(SLACK_WEBHOOK_URL="http://127.0.0.1:PORT/services/T0/B0/wrong"), "correct SLACK_WEBHOOK_URL",
          correct_the_channel),
    Fault("the bot's token is wrong", "after.telegram", worker(TELEGRAM_BOT_TOKEN="123456:other-token"), "TELEGRAM_BOT_TOKEN", correct_the_channel),
    Fault("the mail server refuses the password", "after.email", refuse_mail, "EMAIL_PASS", correct_the_channel),
    # What the checklist's queries show.
    Fault("an event waits", "monitoring.backlog",
          sql(NOTIFIED.format(event=EVENT, processed="false", columns=", next_attempt_at, created_at",
                              values=", now() + interval '1 hour', now() - interval '2 days'")),
          "see that a worker runs, and why they wait", retry),
    Fault("a notification has failed", "monitoring.failed", sql(NOTIFIED.format(event=EVENT, processed="true", columns="", values="")), "fix the cause", retry),
    Fault("a lead was stored without events", "monitoring.unsent", sql(UNSENT), "set DIRECT_NOTIFICATIONS=true and start the worker again", announce),
    Fault("nobody has noticed a late lead", "monitoring.sla", all_of(shell(ENABLE_NOTIFICATION_WORKER="false"), stop("worker"), sql(LATE)),
          "start `leadpipe worker`", start_the_worker,
          # A worker that runs notices it, so this fault needs another.
          others={"before.worker-enabled"}),
]


@pytest.fixture(scope="module")
def parts(cluster, tmp_path_factory):
    with watched(cluster, tmp_path_factory.mktemp("deployment")) as deployment:
        deployment.check().good()
        yield deployment


@pytest.fixture
def scene(parts, cluster, tmp_path):
    with contextlib.ExitStack() as stack:
        scene = Scene(parts, tmp_path, stack, cluster)
        yield scene
    parts.database.run("delete from conversations; delete from lead_events")
    (parts.state / "env").chmod(0o600)
    scene.start_again()


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_exactly_the_item_of_a_fault_fails_and_its_advice_mends_it(fault, scene):
    fault.put(scene)
    found = scene.check()
    assert set(found.failed) == {fault.item} | fault.others, (found.failed, found.done.stderr)
    assert found.done.returncode == 1
    scene.evidence, advice = found.failed[fault.item]
    assert fault.says in advice, advice
    fault.mend(scene, advice)
    # Without the wrong setting of the command alone, all is as it was when the other tests found it good.
    if scene.started or scene.words or scene.shell or fault.put.__name__ != "wrong_setting":
        scene.check().good()


def test_most_items_have_a_fault():
    """Those without one fail together with others only: what they show cannot be broken alone by what an operator does."""
    items = {json.loads(line)["id"] for line in leadpipe("check", "--dry-run", "--json").stdout.splitlines()}
    assert items - {fault.item for fault in FAULTS} == {
        "after.conversation", "after.event", "after.timeline", "after.removed", "admin.live", "admin.timeline", "admin.sla"}


def test_page_lists_the_faults():
    page = (REPO / "docs" / "how-to" / "check-a-deployment.md").read_text()
    rows = re.findall(r"^\| `([a-z]+\.[a-z-]+)` \| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE)
    assert rows == [(fault.item, fault.name) for fault in FAULTS]
