"""The structure of the source: modules import each other in one direction, and the five lists of handlers agree."""

import json
import re

import pytest

import handlers
from common import BIN, HANDLERS, REPO

# Each module with the modules of this package that it may import, as in Package.swift.
MODULES = {
    "Wire": set(),
    "Sandbox": {"CProcess"},
    "Contract": {"Wire", "Forms", "Limits", "Sandbox", "CProcess"},
    "Forms": {"Wire"},
    "Leads": {"Wire", "Forms"},
    "Deliveries": {"Wire"},
    "Limits": set(),
    "Exports": {"CXlsxWriter", "CPango"},
    "Curl": {"Wire", "CCurl"},
    "Store": {"Wire", "Leads", "Deliveries", "Curl", "CPostgres"},
    "StoreAccess": {"Wire", "Contract", "Forms", "Leads", "Limits", "Deliveries", "Store"},
    "Capture": {"Wire", "Contract", "Forms", "Leads", "Store", "StoreAccess"},
    "Transports": {"Wire", "Contract", "Forms", "Deliveries", "Curl", "CCurl"},
    "Admin": {"Wire", "Contract", "Forms", "Leads", "Limits", "Deliveries", "Exports", "Store", "StoreAccess", "CCrypto"},
    "OpenAPI": {"Wire", "Contract"},
    "Host": {"Wire", "Contract", "Sandbox", "Deliveries", "CProcess"},
    "Worker": {"Wire", "Contract", "Deliveries", "Host"},
    "confine": {"Host"},
    "leadpipe-cgi": {"Contract", "Host"},
    "Sink": {"Wire", "Contract", "Forms"},
    "Samples": {"Wire"},
    "Terminal": set(),
    "gateway": {"Wire", "Contract", "Forms", "Leads", "Sandbox", "Host", "OpenAPI", "Limits", "Terminal", "CProcess", "CZlib"},
    "leadpipe": {
        "Wire", "Contract", "Sandbox", "Forms", "Leads", "Deliveries", "Limits", "Store", "StoreAccess", "Transports", "Admin", "OpenAPI",
        "Host", "Worker", "Sink", "Samples", "Terminal",
    },
}
# The modules that a handler may link, by its trust class.
HANDLER_MODULES = {
    "intake": {"Wire", "Contract", "Forms", "Leads", "Deliveries", "Store", "StoreAccess", "Capture"},
    "admin": {"Wire", "Contract", "Forms", "Leads", "Deliveries", "Store", "StoreAccess", "Admin"},
    "worker": {"Wire", "Contract", "Forms", "Leads", "Deliveries", "Store", "StoreAccess", "Transports"},
    "none": {"Wire", "Contract", "Forms", "Limits"},
}
C_MODULES = {"CPostgres", "CCurl", "CCrypto", "CProcess", "CXlsxWriter", "CPango", "CZlib"}
OURS = set(MODULES) | C_MODULES
SQL = re.compile(r"\b(select\s+[\w*(]|insert\s+into\b|delete\s+from\b|create\s+(table|database|role)\b|drop\s+table\b|(un)?listen\s+\w+_wake|PQ[a-z]+\w*\()",
                 re.IGNORECASE)

HANDLER_CLASS = {path.name: path.parent.name for path in (REPO / "handlers").glob("*/*") if path.is_dir()}
HANDLER_NAMES = sorted(HANDLER_CLASS)


def sources(folder):
    return sorted((REPO / folder).rglob("*.swift"))


def folder_of(module):
    return "gateway" if module == "gateway" else f"Sources/{module}"


def imports(path):
    return set(re.findall(r"^\s*(?:@\w+\s+)*import\s+(?:struct\s+|class\s+|enum\s+|func\s+)?(\w+)", path.read_text(), re.MULTILINE))


def code(path):
    """The source without comments."""
    return "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("//"))


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_only_what_they_may(module):
    files = sources(folder_of(module))
    assert files
    for path in files:
        assert imports(path) & OURS <= MODULES[module], f"{path} imports {imports(path) & OURS - MODULES[module]}"


def test_every_module_is_listed_here():
    assert {path.name for path in (REPO / "Sources").iterdir()} == OURS - {"gateway"}


@pytest.mark.parametrize("name", HANDLER_NAMES)
def test_handlers_import_their_modules_and_not_foundation(name):
    for path in sources(f"handlers/{HANDLER_CLASS[name]}/{name}"):
        assert imports(path) <= HANDLER_MODULES[HANDLER_CLASS[name]] | {"FoundationEssentials", "Glibc"}, path


@pytest.mark.parametrize("name", HANDLER_NAMES)
def test_handler_is_short(name):
    lines = (REPO / "handlers" / HANDLER_CLASS[name] / name / "handler.swift").read_text().splitlines()
    assert len(lines) <= 40
    assert sum(line.startswith("package let handler = ") for line in lines) == 1
    assert not any(line.startswith("var ") for line in lines)


def test_modules_that_handlers_link_do_not_import_foundation():
    """Foundation costs milliseconds at every start of a handler. Modules that a handler links must not import it."""
    for module in sorted(set().union(*HANDLER_MODULES.values(), {"Sandbox"})):
        for path in sources(folder_of(module)):
            assert "Foundation" not in imports(path), path


def test_only_store_contains_sql():
    for folder in ["handlers", *(folder_of(module) for module in MODULES if module != "Store")]:
        for path in sources(folder):
            if path.name == "HostileText.swift":
                continue  # Hostile names for tests. They are never executed.
            assert not SQL.search(code(path)), f"{path}: {SQL.search(code(path)).group()}"


def test_sql_pattern_matches_sql():
    assert SQL.search("select count(*) from x") and SQL.search('"insert into t"') and SQL.search("PQexec(connection)") and SQL.search("listen leadpipe_wake")
    assert any(SQL.search(code(path)) for path in sources("Sources/Store"))


def test_sandbox_names_no_setting():
    for path in sources("Sources/Sandbox"):
        assert not re.search(r'"[A-Z]+_[A-Z_]+"', code(path)), path


def test_only_curl_and_transports_use_libcurl():
    for folder in ["handlers", *(folder_of(module) for module in MODULES if module not in ("Curl", "Transports"))]:
        for path in sources(folder):
            assert not re.search(r"\bcurl_easy|\bCURL[A-Z]*_|\bCCurl\b", code(path)), path
    assert any("CURLOPT_" in code(path) for path in sources("Sources/Transports"))


def test_gateway_contains_nothing_about_leads():
    for path in sources("gateway"):
        assert not re.search(r"\b(customerName|customerPhone|leadScore|conversation_id|lead_events)\b", code(path)), path


# From the lowest folder of the gateway to the highest. A file may use types of its own folder and of lower folders.
GATEWAY_FOLDERS = ["limits", "panel", "processes", "processes/oneshot", "processes/stream", "live", "routing", "operations", "http", "scgi", "."]
DECLARATION = re.compile(r"^(?:final )?(?:struct|class|enum|actor|protocol) (\w+)", re.MULTILINE)


def test_gateway_folders_depend_in_one_direction():
    folders = {path: path.parent.relative_to(REPO / "gateway").as_posix() for path in sources("gateway")}
    assert set(folders.values()) == set(GATEWAY_FOLDERS)
    homes = {name: folder for path, folder in folders.items() for name in DECLARATION.findall(path.read_text())}
    assert homes["QueueLimit"] == "limits" and homes["HTTPConnection"] == "http"
    for path, folder in folders.items():
        lower = GATEWAY_FOLDERS[:GATEWAY_FOLDERS.index(folder) + 1]
        used = {name for name in re.findall(r"\b[A-Z]\w+", code(path)) if name in homes and homes[name] not in lower}
        assert not used, f"{path} uses {used}"


@pytest.mark.parametrize("module", MODULES)
def test_files_of_a_module_have_no_cycle(module):
    files = {path: re.sub(r'"(?:\\.|[^"\\])*"', "", code(path)) for path in sources(folder_of(module))}
    homes = {name: path for path, text in files.items() for name in re.findall(
        r"^(?:package |public |final |indirect )*(?:struct|class|enum|actor|protocol) (\w+)", text, re.MULTILINE)}
    uses = {path: {homes[name] for name in re.findall(r"\b[A-Z]\w+", text) if name in homes} - {path} for path, text in files.items()}
    # Remove files that use no remaining file, until none is left. Files of a cycle remain.
    while leaves := [path for path, others in uses.items() if not others & uses.keys()]:
        for leaf in leaves:
            del uses[leaf]
    assert not uses


# ── The folder handlers/, Package.swift, the executables, the trust table and --describe ──

def package():
    """The handlers in Package.swift with their executable, their trust class, and the modules that they may use besides
    the contract."""
    text = (REPO / "Package.swift").read_text()
    parts = re.findall(r'handlers\(\s*"([a-z]+)", of: "([a-z]+)",(.*?)(?=\n  \+ handlers|\n\n)', text, re.DOTALL)
    return {name: (executable, trust_class, set(re.findall(r'"(\w+)"', uses))) for executable, trust_class, groups in parts
            for uses, names in re.findall(r"using: \[(.*?)\],\s*names: \[(.*?)\]", groups, re.DOTALL)
            for name in re.findall(r'"([a-z-]+)"', names)}


# The handlers of each executable with their modules, from the file that lists them.
LISTS = {path.stem: re.findall(r'^ *(?:serve\(\[)?"([a-z-]+)": \{ (\w+)\.handler \}', path.read_text(), re.MULTILINE)
         for path in (REPO / "handlers").glob("*.swift")}


CHANNELS = (REPO / "Sources" / "Deliveries" / "ChannelKind.swift").read_text()


def trust():
    """The trust table: the handlers it names, and a notifier for each channel."""
    text = (REPO / "Sources" / "Host" / "Trust.swift").read_text()
    table = text[text.index("private static let named"):]
    notifiers = {f"notify-{name}": "worker" for name in re.findall(r'ChannelKind\(\s*"([a-z]+)"', CHANNELS)}
    assert len(notifiers) >= 3
    return dict(re.findall(r'"([a-z-]+)": \.(\w+)', table)) | notifiers


def grants(trust_class):
    """The settings of a class, read from the source."""
    text = (REPO / "Sources" / "Host" / "Trust.swift").read_text()
    common = set(re.findall(r'"([A-Z_]+)"', re.search(r"let common.*?\]", text, re.DOTALL).group()))
    body = text[text.index("var grants"):text.index("var database")]
    case = re.search(rf"case \.{trust_class}:(.*?)(?=case \.|\n  \}}\n)", body, re.DOTALL).group(1)
    channels = set(re.findall(r'"([A-Z_]+)"', CHANNELS)) if "Self.channels" in case else set()
    return common | channels | set(re.findall(r'"([A-Z_]+)"', case))


def describe(name):
    done = handlers.run(name, b"", "--describe", seconds=5)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_all_lists_of_handlers_agree():
    assert {name: trust_class for name, (_, trust_class, _) in package().items()} == HANDLER_CLASS
    assert {name: executable for name, (executable, _, _) in package().items()} == {
        name: executable for executable, names in LISTS.items() for name, _ in names}
    assert trust() == HANDLER_CLASS
    assert sorted(path.name for path in HANDLERS.glob("[!.]*")) == HANDLER_NAMES


@pytest.mark.parametrize("name", HANDLER_NAMES)
def test_handlers_import_only_declared_modules(name):
    """A handler imports no more than its group in Package.swift declares."""
    used = set().union(*(imports(path) for path in sources(f"handlers/{HANDLER_CLASS[name]}/{name}"))) & OURS
    assert used - {"Wire", "Contract"} <= package()[name][2]


@pytest.mark.parametrize("executable", LISTS)
def test_executable_contains_handlers_of_one_class_under_their_names(executable):
    names = LISTS[executable]
    assert names and all(module == name.replace("-", "_") for name, module in names)
    assert len({HANDLER_CLASS[name] for name, _ in names}) == 1


def test_database_and_transports_are_in_different_executables():
    uses = {executable: set().union(*(package()[name][2] for name, _ in names)) for executable, names in LISTS.items()}
    assert any("Transports" in each for each in uses.values())
    assert not [executable for executable, each in uses.items() if {"Store", "Transports"} <= each]


SUITES = dict(re.findall(r'suite\(\s*"(\w+)",\s*\[(.*?)\]', (REPO / "Package.swift").read_text(), re.DOTALL))


@pytest.mark.parametrize("suite", SUITES)
def test_suites_declare_their_imports(suite):
    """Whether an undeclared module is found depends on the order of the build."""
    used = set().union(*(imports(path) for path in sources(f"Tests/{suite}"))) & OURS
    assert used <= set(re.findall(r'"([\w-]+)"', SUITES[suite]))


@pytest.mark.parametrize("name", HANDLER_NAMES)
def test_descriptions_are_complete_and_match_the_trust_table(name):
    description = describe(name)
    assert description["name"] == name
    assert description["kind"] in ("endpoint", "step")
    assert (description["kind"] == "endpoint") == bool(description["routes"])
    assert description["access"] in ("public", "admin")
    assert description["rateClass"] in ("lead", "contact", "admin", "export", "default")
    # A file takes longer than a document.
    follows = description.get("bodyFollows") is True
    assert 0 < description["bodyLimit"] <= 262_144 and 0 < description["timeLimitMs"] <= (120_000 if follows else 15_000)
    assert not (follows and description["streams"])
    assert description["input"].get("type") == "object"
    # A list can be asked for as an array.
    outputs = description["output"].get("anyOf", [description["output"]])
    # A file is text or a JSON document; a page is text.
    is_text = follows or description.get("types") == ["text/html"]
    assert outputs[0]["type"] in (("string", "object") if is_text else ("object",)) and all(each["type"] == "array" for each in outputs[1:])
    # A step outside the worker has class none. A feed has the class of its endpoint; the gateway checks that. The step
    # that counts requests for the gateway has class intake.
    feeds = {describe(other).get("feed") for other in HANDLER_NAMES}
    assert (trust()[name] in ("worker", "none") or name in feeds or name == "rate-count") == (description["kind"] == "step")
    names = [setting["name"] for setting in description["environment"]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", HANDLER_NAMES)
def test_described_settings_are_granted_to_the_class(name):
    asked = {setting["name"] for setting in describe(name)["environment"]}
    assert asked <= grants(trust()[name])


def test_endpoints_get_no_secrets_of_the_worker():
    secrets = {"SLACK_WEBHOOK_URL", "TELEGRAM_BOT_TOKEN", "EMAIL_PASS", "RESEND_API_KEY"}
    assert secrets <= grants("worker")
    assert not secrets & (grants("intake") | grants("admin") | grants("none"))
    assert "DATABASE_URL" not in grants("none") and "ADMIN_API_KEY" not in grants("intake") | grants("worker")


def test_routes_are_unique():
    routes = [(route["method"], route["path"]) for name in HANDLER_NAMES for route in describe(name)["routes"]]
    assert len(routes) == len(set(routes)) and ("POST", "/api/chatbot/leads") in routes


def test_sql_in_bin_equals_the_repository():
    for path in (REPO / "supabase").rglob("*.sql"):
        inside = path.relative_to(REPO / "supabase")
        if inside.parts[0] not in ("tests", "schemas"):
            assert (BIN / "supabase" / inside).read_bytes() == path.read_bytes(), f"{inside} differs: run `make build`"


def catalogue(path):
    """The cases of an enumeration of codes: names by code."""
    cases = re.findall(r"^  case (\w+)(?: = \"(\w+)\")?$", (REPO / path).read_text(), re.MULTILINE)
    return {code or name: name for name, code in cases}


PROBLEMS, FIELD_ERRORS = catalogue("Sources/Contract/ProblemCode.swift"), catalogue("Sources/Forms/FieldCode.swift")
SCHEMA_TEXT = "\n".join(path.read_text() for path in sorted((REPO / "supabase" / "schemas").rglob("*.sql")))


def test_sql_functions_raise_codes_of_the_catalogue():
    # An LP400 without a message does not leave its function.
    raised = re.findall(r"errcode = 'LP\w{3}', message = (.*?)(?:, detail|;)", SCHEMA_TEXT, re.DOTALL)
    codes = {code for part in raised for code in re.findall(r"'([^']*)'", re.sub(r"when .*? then", "", part, flags=re.DOTALL))}
    statuses = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", (REPO / "docs/reference/errors.md").read_text(), re.MULTILINE))
    for status, code in re.findall(r"errcode = 'LP(\d{3})', message = '(\w+)'", SCHEMA_TEXT):
        assert statuses.get(code, "400") == status, f"{code} has another status than LP{status}"
    assert len(raised) > 30 and codes <= PROBLEMS.keys() | FIELD_ERRORS.keys(), codes - PROBLEMS.keys() - FIELD_ERRORS.keys()


def test_every_code_of_the_catalogue_is_used():
    source = "\n".join(path.read_text() for folder in ("Sources", "gateway", "handlers") for path in (REPO / folder).rglob("*.swift")
                       if path.name not in ("ProblemCode.swift", "FieldCode.swift"))
    assert len(PROBLEMS) > 50 and len(FIELD_ERRORS) > 30
    unused = [code for code, name in (PROBLEMS | FIELD_ERRORS).items()
              if not re.search(rf"\.{name}\b", source) and f"'{code}'" not in SCHEMA_TEXT]
    assert not unused


def test_panel_lines_have_at_most_120_columns():
    files = list((REPO / "web/panel/js").rglob("*.js"))
    assert len(files) > 30
    assert [f"{file.name}:{number}" for file in files for number, line in enumerate(file.read_text().splitlines(), 1) if len(line) > 120] == []
