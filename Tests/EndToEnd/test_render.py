"""deploy/render: the blueprint has only fields that Render documents, and each service's command runs with its settings.
Render's own schema cannot be had here, so the fields are written down (render.com/docs/blueprint-spec, 2026-11)."""

import json
import re
import subprocess

import pytest

from common import BIN, REPO, clean_environment

BLUEPRINT = REPO / "deploy" / "render" / "render.yaml"
VENV = REPO / ".build" / "test-venv" / "bin"
COMMON = {"type", "name", "runtime", "plan", "region", "dockerfilePath", "dockerContext", "dockerCommand", "autoDeployTrigger", "envVars"}
FIELDS = {
    "web": COMMON | {"preDeployCommand", "healthCheckPath", "maxShutdownDelaySeconds", "numInstances"},
    "worker": COMMON | {"preDeployCommand", "maxShutdownDelaySeconds", "numInstances"},
    "cron": COMMON - {"autoDeployTrigger"} | {"schedule"},
}
DATABASE_FIELDS = {"name", "plan", "region", "postgresMajorVersion", "ipAllowList"}
REGIONS = {"oregon", "ohio", "virginia", "frankfurt", "singapore"}


def read(text):
    words = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"
    return json.loads(subprocess.run([VENV / "python", "-c", words], input=text, capture_output=True, text=True, check=True, timeout=30).stdout)


def services():
    """The services, with the variables of their groups."""
    blueprint = read(BLUEPRINT.read_text())
    groups = {group["name"]: group["envVars"] for group in blueprint["envVarGroups"]}
    found = blueprint["services"]
    for service in found:
        assert {"fromGroup": "leadpipe-rules"} in service["envVars"], "all services go by the same rules"
        service["envVars"] = [one for variable in service["envVars"] for one in groups.get(variable.get("fromGroup"), [variable])]
    return found


def faults(service):
    """What Render would refuse."""
    unknown = set(service) - FIELDS[service["type"]]
    if unknown:
        yield f"unknown fields {sorted(unknown)}"
    if service["runtime"] != "docker" or service["region"] not in REGIONS:
        yield "runtime or region"
    if service["type"] == "cron" and not re.fullmatch(r"(\S+ ){4}\S+", service.get("schedule", "")):
        yield "schedule"
    if not 1 <= service.get("maxShutdownDelaySeconds", 30) <= 300:
        yield "maxShutdownDelaySeconds"
    for variable in service["envVars"]:
        ways = set(variable) - {"key"}
        if len(ways) != 1 or not ways <= {"value", "sync", "generateValue", "fromDatabase", "fromService"}:
            yield f"{variable['key']}: exactly one source"
        if "value" in variable and not isinstance(variable["value"], str):
            yield f"{variable['key']}: Render takes texts; YAML reads this as something else"


def test_the_blueprint_has_the_services_of_the_checklist():
    assert [(service["type"], service["name"]) for service in services()] == [
        ("web", "leadpipe"), ("worker", "leadpipe-worker"), ("cron", "leadpipe-deadlines"), ("cron", "leadpipe-housekeeping")]
    assert [fault for service in services() for fault in faults(service)] == []


@pytest.mark.parametrize("change", [{"healthcheckPath": "/"}, {"region": "mars"}, {"envVars": [{"key": "PORT", "value": 1}]}, {"envVars": [{"key": "PORT"}]}])
def test_the_check_finds_what_is_wrong(change):
    assert len(list(faults({**services()[0], **change}))) == 1


def test_no_secret_is_in_the_file_and_no_service_has_anothers():
    secret = re.compile(r"DATABASE_URL|_KEY$|_PASS$|_SECRET$|TOKEN|WEBHOOK")
    for service in services():
        for variable in service["envVars"]:
            assert not secret.search(variable["key"]) or "value" not in variable, variable["key"]
    names = {service["name"]: {variable["key"] for variable in service["envVars"]} for service in services()}
    assert not names["leadpipe"] & {"DATABASE_URL_WORKER", "SLACK_WEBHOOK_URL", "EMAIL_PASS"}
    assert not names["leadpipe-worker"] & {"DATABASE_URL", "DATABASE_URL_ADMIN", "ADMIN_API_KEY"}
    assert "SUPABASE_SERVICE_ROLE_KEY" not in BLUEPRINT.read_text()


def environment(service):
    """The service's settings; what is asked for in the dashboard has a value that is valid."""
    asked = {"SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/x", "TELEGRAM_BOT_TOKEN": "123456:ABC", "TELEGRAM_CHAT_ID": "-100123456789",
             "EMAIL_USER": "leads@example.com", "EMAIL_PASS": "x", "ADMIN_API_KEY": "k" * 44, "FORM_TOKEN_SECRET": "k" * 44,
             "SUPABASE_JWT_ISSUER": "https://ref.supabase.co/auth/v1", "SUPABASE_JWT_SECRET": "k" * 44, "SUPABASE_JWKS": ""}
    values = {variable["key"]: variable.get("value") or asked.get(variable["key"], "postgresql://x@127.0.0.1:1/x") for variable in service["envVars"]}
    return clean_environment(**values)


def words(service):
    """The command as Render runs it, with the tested binaries."""
    program, *rest = service["dockerCommand"].split(" ")
    assert program == "/opt/leadpipe/bin/leadpipe"
    return [REPO / "deploy/container/start", BIN / "leadpipe", *rest]


@pytest.mark.parametrize("service", services()[:2], ids=lambda service: service["name"])
def test_services_accept_their_settings(service):
    done = subprocess.run([*words(service), "--check"], env=environment(service), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and "is not a setting" not in done.stderr, done.stderr
    wrong = {**environment(service), "WAKE": "never"}
    assert subprocess.run([*words(service), "--check"], env=wrong, capture_output=True, timeout=30).returncode == 78


@pytest.mark.parametrize("service", services()[2:], ids=lambda service: service["name"])
def test_cron_jobs_run(service, database):
    url = re.sub("//[^@]*@", "//leadpipe_worker@", database.url)
    done = subprocess.run(words(service), env=clean_environment(DATABASE_URL_WORKER=url), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0 and json.loads(done.stdout), done.stderr


def test_the_migrations_run_before_a_deploy(database):
    command = services()[0]["preDeployCommand"].split(" ")
    assert command[0] == "/opt/leadpipe/bin/leadpipe"
    done = subprocess.run([BIN / "leadpipe", *command[1:]], env=clean_environment(DATABASE_URL=database.url), capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (0, "nothing to migrate\n"), done.stderr


def test_render_s_own_database_is_private():
    text = re.sub(r"^#(?=databases:|  )", "", BLUEPRINT.read_text(), flags=re.MULTILINE)
    database, = read(text)["databases"]
    assert set(database) == DATABASE_FIELDS and database["ipAllowList"] == [] and database["region"] in REGIONS


@pytest.mark.parametrize("words", [["gateway", "--help"], ["/opt/none/leadpipe"], ["/bin/sh", "-c", "echo shell"]], ids=" ".join)
def test_the_entry_point_runs_words_and_paths(words, tmp_path):
    """Whether the host's command follows the entry point or replaces it."""
    start = tmp_path / "start"
    start.write_text((REPO / "deploy/container/start").read_text().replace("/opt/leadpipe/bin", str(BIN)))
    start.chmod(0o755)
    done = subprocess.run([start, *words], env=clean_environment(), capture_output=True, text=True, timeout=30)
    if words[0] == "gateway":
        assert done.returncode == 0 and "--only" in done.stdout
    elif words[0] == "/bin/sh":
        assert done.stdout == "shell\n"
    else:
        assert done.returncode == 127
