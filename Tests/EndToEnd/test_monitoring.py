"""deploy/prometheus, deploy/grafana and deploy/monitoring: promtool accepts the rules and the real metrics, every alert
and panel uses metrics that exist, and the queries of the checklist run."""

import json
import re
import subprocess

import pytest

from cluster import leadpipe
from common import BIN, REPO, TEST_USER, clean_environment, until
from instance import Instance

PROMETHEUS = REPO / "deploy" / "prometheus"
RULES = PROMETHEUS / "leadpipe.rules.yml"
DASHBOARD = REPO / "deploy" / "grafana" / "leadpipe.json"
COLLECTOR = PROMETHEUS / "leadpipe-health"
HOW_TO = REPO / "docs" / "how-to" / "monitor.md"


def promtool(*words, input=None):
    done = subprocess.run(["promtool", *map(str, words)], input=input, capture_output=True, text=True, timeout=50)
    return done.returncode, done.stdout + done.stderr


def metric_names(text):
    """The families of a page in Prometheus' text format, with what a histogram adds."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    return {name + part for name, kind in kinds.items() for part in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))}


@pytest.fixture(scope="module")
def instance():
    """An instance whose worker has a channel that fails for good, and which stored one lead."""
    with Instance(SLACK_WEBHOOK_URL="http://127.0.0.1:9/services/T0/B0/gone", ADMIN_API_KEY="monitoring-key-0123456789") as instance:
        instance.capture(TEST_USER)
        until(lambda: instance.database.count("notification_logs", "retry_count > 0"), 20, "an attempt")
        yield instance


@pytest.fixture(scope="module")
def gateway_metrics(instance):
    socket = f"{instance.state}/operations.sock"
    assert instance.http("/api/admin/session")[0] == 401 and instance.http("/nowhere")[0] == 404
    return subprocess.run(["curl", "-fsS", "--max-time", "10", "--unix-socket", socket, "http://localhost/-/metrics"], env=clean_environment(),
                          capture_output=True, text=True, timeout=20, check=True).stdout


def collect(url, *words, **environment):
    settings = clean_environment(LEADPIPE=str(BIN / "leadpipe"), **environment)
    return subprocess.run([COLLECTOR, url, *words], env=settings, capture_output=True, text=True, timeout=50)


@pytest.fixture(scope="module")
def health_metrics(instance):
    """The report of the instance, when it is old enough to show the lead: its figures are a minute late."""
    instance.database.run("""update lead_events set created_at = created_at - interval '5 minutes';
        update notification_logs set created_at = created_at - interval '5 minutes', event_at = event_at - interval '5 minutes';
        update conversations set sla_response_deadline = now() - interval '1 minute', sla_breached = true""")
    url = f"postgresql://leadpipe@/leadpipe?host={instance.cluster_home}/run"
    done = collect(f"http://127.0.0.1:{instance.port}/health", DATABASE_URL_ADMIN=url)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_promtool_accepts_the_metrics_of_the_gateway(gateway_metrics):
    """Names, types and help texts by Prometheus' conventions: no complaint at all."""
    assert "leadpipe_requests_total{" in gateway_metrics and "leadpipe_request_run_seconds_bucket{" in gateway_metrics
    assert promtool("check", "metrics", input=gateway_metrics) == (0, "")


def test_promtool_complains_about_a_counter_with_a_wrong_name(gateway_metrics):
    status, output = promtool("check", "metrics", input=gateway_metrics.replace("leadpipe_requests_total", "leadpipe_requests"))
    assert status != 0 and "_total" in output


def test_the_collector_writes_the_report_of_health(instance, health_metrics):
    assert promtool("check", "metrics", input=health_metrics) == (0, "")
    samples = dict(line.rsplit(" ", 1) for line in health_metrics.splitlines() if not line.startswith("#"))
    assert samples["leadpipe_health_up"] == "1" and samples['leadpipe_health_database{state="ok"}'] == "1"
    assert samples["leadpipe_health_unfinished_events"] == "1" and float(samples["leadpipe_health_oldest_event_age_seconds"]) > 200
    assert samples["leadpipe_health_breached_leads"] == "1"
    assert set(samples) >= {'leadpipe_health_channel_paused{channel="slack"}', "leadpipe_health_worker_last_seen_timestamp_seconds"}


def test_the_collector_reports_a_paused_channel(instance, health_metrics):
    instance.database.run("""insert into notification_channels (channel, paused_until, paused_since) values ('slack', now() + interval '1 hour',
        now() - interval '10 minutes') on conflict (channel) do update set paused_until = excluded.paused_until, paused_since = excluded.paused_since""")
    done = collect(f"http://127.0.0.1:{instance.port}/health")
    assert 'leadpipe_health_channel_paused{channel="slack"} 1\n' in done.stdout and "breached" not in done.stdout
    assert 'leadpipe_health_status{status="degraded"} 1\n' in done.stdout


def test_the_collector_says_that_health_does_not_answer(tmp_path):
    file = tmp_path / "leadpipe.prom"
    done = collect("http://127.0.0.1:9/health", str(file))
    assert done.returncode == 0 and done.stdout == ""
    text = file.read_text()
    assert "leadpipe_health_up 0\n" in text and metric_names(text) == {"leadpipe_health_up", "leadpipe_health_collected_timestamp_seconds"}
    assert [path.name for path in tmp_path.iterdir()] == ["leadpipe.prom"] and file.stat().st_mode & 0o777 == 0o644


def test_promtool_accepts_the_rules_and_the_configuration(tmp_path):
    status, output = promtool("check", "rules", RULES)
    assert status == 0 and re.search(r"SUCCESS: \d+ rules found", output), output
    status, output = promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert status == 0, output


def test_each_alert_fires_for_its_fault_and_no_other():
    tests = REPO / "Tests" / "Prometheus" / "leadpipe.test.yml"
    status, output = promtool("test", "rules", tests)
    assert status == 0 and "SUCCESS" in output, output
    alerts = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    assert alerts == set(re.findall(r'alertname="(\w+)"', tests.read_text())), "each alert has a test in which it fires"
    assert alerts == set(re.findall(r"^\| (Leadpipe\w+) \|", HOW_TO.read_text(), re.MULTILINE)), "each alert is explained"


def test_a_rule_that_is_wrong_fails_its_test(tmp_path):
    (tmp_path / "deploy" / "prometheus").mkdir(parents=True)
    (tmp_path / "Tests" / "Prometheus").mkdir(parents=True)
    (tmp_path / "deploy" / "prometheus" / RULES.name).write_text(RULES.read_text().replace("leadpipe_ready == 0", "leadpipe_ready == 2"))
    copy = tmp_path / "Tests" / "Prometheus" / "leadpipe.test.yml"
    copy.write_text((REPO / "Tests" / "Prometheus" / "leadpipe.test.yml").read_text())
    assert promtool("test", "rules", copy)[0] != 0


def test_rules_and_dashboard_use_metrics_that_exist(gateway_metrics, health_metrics):
    # A counter of refusals has no sample, but always a type.
    known = metric_names(gateway_metrics) | metric_names(health_metrics)
    used = set(re.findall(r"leadpipe_\w+", "\n".join(re.findall(r"expr: .*(?:\n {10}.*)*", RULES.read_text()))))
    dashboard = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    for expression in expressions:
        used |= set(re.findall(r"leadpipe_\w+", expression))
    assert len(used) > 15 and used - known == set()


def test_the_dashboard_has_valid_queries_and_panels_that_do_not_overlap(tmp_path):
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 10 and dashboard["id"] is None
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    # promtool reads each query as a recording rule; Grafana's variable becomes a time.
    rules = [{"record": f"panel:query:{number}", "expr": target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")}
             for number, target in enumerate(target for panel in panels for target in panel.get("targets", []))]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    status, output = promtool("check", "rules", tmp_path / "rules.json")
    assert status == 0, output


QUERIES = sorted((REPO / "deploy" / "monitoring").glob("*.sql"))


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_the_queries_of_the_checklist_run_and_show_no_personal_data(path, instance, health_metrics):
    done = instance.database.psql(path.read_text(), "-A")
    lines = done.stdout.splitlines()
    columns = lines[0].split("|")
    assert not set(columns) & {"customer_name", "customer_phone", "customer_email", "payload", "recipient", "notes", "subject"}
    if path.stem == "unprocessed-events":
        count, age = lines[1].split("|")
        assert int(count) == 1 and int(age) > 200
    elif path.stem == "sla-breaches":
        assert lines[-1] == "(1 row)"
    else:
        assert columns[:2] == ["id", "channel"]
    assert not any(value in done.stdout for value in TEST_USER.values() if value != "buy")


def test_the_checklist_has_three_queries():
    assert [path.stem for path in QUERIES] == ["failed-notifications", "sla-breaches", "unprocessed-events"]
    assert all(f"deploy/monitoring/{path.name}" in HOW_TO.read_text() for path in QUERIES)
    assert leadpipe("--version").returncode == 0
