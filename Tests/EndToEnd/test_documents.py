"""Runs every command in the documents that is fenced as `sh`: a command that is not run is a bug.

The convention, as in README.md: blocks fenced as sh are run in order, in one shell for each document, in the root of the
repository, with bin/ built and an instance running. PORT, LEADPIPE_STATE and DATABASE_URL are that instance's. The blocks
may run any number of times. Blocks fenced as console show commands that are not run, because they install something, wait,
or contact real providers."""

import re
import subprocess

import pytest

from common import BIN, REPO, clean_environment
from instance import Instance

DOCUMENTS = sorted([*REPO.glob("*.md"), *REPO.glob("docs/**/*.md"), *REPO.glob("Tests/README.md"), *REPO.glob("benchmarks/README.md")])
FENCE = re.compile(r"^```([\w-]*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)


def blocks(path, language):
    return [(path.read_text()[:found.start()].count("\n") + 1, found.group(2))
            for found in FENCE.finditer(path.read_text()) if found.group(1) == language]


def parameters_of(paths):
    """The paths as pytest's parameters, with their path in the repository as the id."""
    return [[pytest.param(path, id=str(path.relative_to(REPO))) for path in paths]]


@pytest.fixture(scope="module")
def instance():
    """An instance as `make run` starts it: a private database, and no channel, so that the sink runs."""
    with Instance() as instance:
        yield instance


@pytest.fixture
def root(tmp_path):
    """The repository, with `bin` as a link to the tested binaries."""
    for path in REPO.iterdir():
        if path.name not in ("bin", ".git", ".build"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "bin").symlink_to(BIN)
    return tmp_path


@pytest.mark.parametrize("path", *parameters_of(path for path in DOCUMENTS if blocks(path, "sh")))
def test_commands_of_a_document_work(path, instance, root):
    script = "set -euo pipefail\n"
    for line, block in blocks(path, "sh"):
        script += f"echo '── {path.name}:{line}' >&2\n{block}"
    settings = clean_environment(PORT=str(instance.port), LEADPIPE_STATE=str(instance.state), DATABASE_URL=instance.database.url, HOME=str(root))
    for run in ("first", "second"):
        done = subprocess.run(["bash", "-c", script], env=settings, cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=50)
        assert done.returncode == 0, f"{run} run\n{done.stdout}\n{done.stderr}"


PATH = re.compile(r"`((?:Sources|gateway|handlers|supabase|Tests|docs|benchmarks)/[\w./-]*\w/?)`|\]\(([\w./-]+)(?:#[\w-]+)?\)")
# Files that a page asks the reader to write.
EXAMPLES = {
    "Sources/Transports/Pager.swift", "Tests/Cases/notify-pager.toml", "Tests/Cases/subscriber-count.toml",
    "handlers/admin/subscriber-count/handler.swift", "handlers/worker/notify-pager/handler.swift",
    "supabase/schemas/newsletter/count_subscribers.sql"}


@pytest.mark.parametrize("path", *parameters_of(DOCUMENTS))
def test_files_named_in_a_document_exist(path):
    named = {inside or path.parent.relative_to(REPO).joinpath(link).as_posix() for inside, link in PATH.findall(path.read_text())}
    assert not [name for name in named - EXAMPLES if not (REPO / name).exists()]


@pytest.mark.parametrize("page", ["settings", "routes", "statuses", "errors", "trust-classes", "log-lines"])
def test_reference_page_equals_the_programs_output(page):
    """`make reference` writes the pages again."""
    done = subprocess.run([BIN / "leadpipe", "reference", page], env=clean_environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert (REPO / "docs" / "reference" / f"{page}.md").read_text() == done.stdout


def test_the_first_pages_show_how_to_send_a_lead():
    for path in (REPO / "README.md", REPO / "docs" / "start.md"):
        assert "/api/chatbot/leads" in "".join(block for _, block in blocks(path, "sh"))


@pytest.mark.parametrize("path", *parameters_of(DOCUMENTS))
def test_commands_are_fenced_as_sh_or_console(path):
    for found in FENCE.finditer(path.read_text()):
        if found.group(1) in ("bash", "shell", "zsh"):
            assert found.group(2).startswith("#!"), "fence commands as sh (run by the tests) or console (not run); bash is for scripts"


def anchors(path):
    """The anchors of a page: its own, and those of headings as GitHub makes them."""
    text = FENCE.sub("", path.read_text())
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    own = set(re.findall(r'<a id="([^"]+)">', text))
    plain = [re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading).lower()) for heading in headings]
    return own | {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("path", *parameters_of(DOCUMENTS))
def test_links_between_documents_work(path):
    for target, fragment in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", FENCE.sub("", path.read_text())):
        if "://" in target or target.startswith("mailto:"):
            continue
        page = path.parent / target if target else path
        assert page.exists(), target
        assert not fragment or fragment in anchors(page), f"{target}#{fragment}"


@pytest.mark.parametrize("path", *parameters_of(path for path in DOCUMENTS if "20" not in path.name[:2]))
def test_prose_is_wrapped_at_120_columns(path):
    long = [line for line in FENCE.sub("", path.read_text()).splitlines() if len(line) > 120 and not line.startswith(("|", "<!--"))]
    assert not long
