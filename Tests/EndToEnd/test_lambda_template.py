"""deploy/aws/template.yaml: current, accepted by AWS's own tools, and right where these do not look."""

import json
import os
import re
import subprocess

import pytest

from common import BIN, HANDLERS, REPO, clean_environment

VENV = REPO / ".build" / "test-venv" / "bin"
TEMPLATE = REPO / "deploy" / "aws" / "template.yaml"
TRANSLATE = """
import json, sys, yaml
from samtranslator.translator.transform import transform
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
class Policies(ManagedPolicyLoader):
    def __init__(self): self._policy_map = {}; self.max_items = 1
    def load(self): return {}
template = yaml.safe_load(open(sys.argv[1]))
for function in template["Resources"].values():
    if function["Type"] == "AWS::Serverless::Function":
        function["Properties"]["CodeUri"] = "s3://bucket/key"
print(json.dumps(transform(template, {}, Policies())))
"""


def python(script, *words):
    done = subprocess.run([VENV / "python", "-c", script, *words], capture_output=True, text=True, timeout=60,
                          env=clean_environment(AWS_DEFAULT_REGION="eu-central-1"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def template():
    return python("import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))", str(TEMPLATE))


@pytest.fixture(scope="module")
def descriptions():
    return {
        path.name: json.loads(subprocess.run([path, "--describe"], env=clean_environment(), capture_output=True, check=True).stdout)
        for path in HANDLERS.glob("[!.]*") if os.access(path, os.X_OK)}


def functions(template):
    return {name: resource["Properties"] for name, resource in template["Resources"].items()
            if resource["Type"] == "AWS::Serverless::Function"}


def name_of(function):
    return function["CodeUri"].rpartition("/")[2].removesuffix(".zip")


def test_template_is_current():
    """`make reference` writes it again."""
    done = subprocess.run([BIN / "leadpipe", "lambda-template"], env=clean_environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert TEMPLATE.read_text() == done.stdout


def test_cfn_lint_accepts_it():
    done = subprocess.run([VENV / "cfn-lint", "--regions", "eu-central-1", "--", TEMPLATE], capture_output=True, text=True, timeout=90,
                          env=clean_environment(AWS_DEFAULT_REGION="eu-central-1", HOME="/tmp"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_cfn_lint_finds_a_misspelt_property(tmp_path):
    """The check above would be worth nothing otherwise."""
    wrong = tmp_path / "template.yaml"
    wrong.write_text(TEMPLATE.read_text().replace("MemorySize:", "MemorySiez:", 1))
    done = subprocess.run([VENV / "cfn-lint", "--regions", "eu-central-1", "--", wrong], capture_output=True, text=True, timeout=90,
                          env=clean_environment(AWS_DEFAULT_REGION="eu-central-1", HOME="/tmp"))
    assert done.returncode != 0
    assert "MemorySiez" in done.stdout


@pytest.fixture(scope="module")
def translated():
    return python(TRANSLATE, str(TEMPLATE))["Resources"]


def test_sam_translates_it(template, translated):
    """Every function and every route is there afterwards, and SAM has added no role of its own."""
    kinds = [resource["Type"] for resource in translated.values()]
    assert kinds.count("AWS::Lambda::Function") == len(functions(template))
    assert kinds.count("AWS::IAM::Role") == 3
    assert len(kinds) <= 500, "a stack has at most 500 resources"
    api = next(resource for resource in translated.values() if resource["Type"] == "AWS::ApiGatewayV2::Api")
    paths = api["Properties"]["Body"]["paths"]
    given = {(event["Properties"].get("Path", "$default"), event["Properties"].get("Method", "x-amazon-apigateway-any-method"))
             for function in functions(template).values() for event in function["Events"].values() if event["Type"] == "HttpApi"}
    found = {(path, method) for path, methods in paths.items() for method in methods}
    methods = {"ANY": "x-amazon-apigateway-any-method"}
    assert found == {(path, methods.get(method, method.lower())) for path, method in given}
    for resource in translated.values():
        if resource["Type"] == "AWS::Lambda::Function":
            assert resource["Properties"]["Runtime"] == "provided.al2023"


def test_every_endpoint_is_reachable_by_its_routes(template, descriptions):
    routes = {name_of(function): {(event["Properties"].get("Method"), event["Properties"].get("Path"))
                                  for event in function["Events"].values()} for function in functions(template).values()}
    for name, description in descriptions.items():
        if description["kind"] == "step" or "feed" in description:
            assert name not in routes
            continue
        for route in description["routes"]:
            assert (route["method"], route["path"]) in routes[name]
            if route["method"] == "GET":
                assert ("HEAD", route["path"]) in routes[name]
    everything = [route for of in routes.values() for route in of if route != (None, None)]
    assert len(everything) == len(set(everything)), "two functions have the same route"
    for path in {path for _, path in everything}:
        assert ("ANY", path) in everything
    assert {method for method, _ in everything} <= {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ANY"}


def test_time_limits_and_handlers(template, descriptions):
    """cfn-lint accepts any Timeout."""
    for function in functions(template).values():
        name = name_of(function)
        assert function["Handler"] == name
        if name == "worker":
            assert 60 < function["Timeout"] - 22 < function["Timeout"] <= 900
            continue
        # The HTTP API ends each request after 30 s, also an export, which has longer elsewhere.
        longest = 29 if descriptions[name].get("bodyFollows") else 900
        assert min(descriptions[name]["timeLimitMs"] / 1000, longest) + 1 <= function["Timeout"] <= 30
        assert 128 <= function["MemorySize"] <= 10_240


def test_functions_have_the_settings_that_they_describe_and_no_others(template, descriptions):
    for function in functions(template).values():
        name = name_of(function)
        if name == "worker":
            continue
        described = {setting["name"] for setting in descriptions[name]["environment"]}
        assert set(function["Environment"]["Variables"]) == (
            described - {"LEADPIPE_WAKE", "PORT", "POOLER", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"}
            | {"ALLOWED_ORIGINS", "FRONTEND_URL", "TRUSTED_PROXIES", "RATE_LIMIT_STORE"}
            | {f"RATE_LIMIT_{name}" for name in ("LEAD", "CONTACT", "ADMIN", "EXPORT", "DEFAULT")})


def test_secrets_are_references(template):
    secret = re.compile("URL|KEY|TOKEN|PASS|SECRET")
    harmless = {"FRONTEND_URL", "TELEGRAM_API_URL", "RESEND_API_URL", "FORM_THANKS_URL", "FORM_TOKENS"}
    for resource, function in functions(template).items():
        role = function["Role"]["Fn::GetAtt"][0]
        trust = role.removesuffix("Role").lower()
        for name, value in function["Environment"]["Variables"].items():
            if secret.search(name) and name not in harmless:
                assert value == {"Fn::Sub": "{{resolve:secretsmanager:${SecretPrefix}/" + trust + ":SecretString:" + name + "}}"}, resource
            elif name == "LEADPIPE_ROLE":
                assert value == f"leadpipe_{trust}"
            else:
                assert value == {"Ref": "".join(word.capitalize() for word in name.split("_"))}
                assert value["Ref"] in template["Parameters"]


def test_roles_may_write_their_logs_and_nothing_else(template):
    roles = {name: resource["Properties"] for name, resource in template["Resources"].items() if resource["Type"] == "AWS::IAM::Role"}
    assert set(roles) == {"IntakeRole", "AdminRole", "WorkerRole"}
    for name, role in roles.items():
        assert "ManagedPolicyArns" not in role
        statement, = (one for policy in role["Policies"] for one in policy["PolicyDocument"]["Statement"])
        assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
        assert statement["Resource"] == {"Fn::GetAtt": [name.replace("Role", "Logs"), "Arn"]}
    assert {function["Role"]["Fn::GetAtt"][0] for function in functions(template).values()} == set(roles)
    assert "RetentionInDays" in template["Resources"]["IntakeLogs"]["Properties"]
