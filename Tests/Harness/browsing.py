"""Fixtures of the tests that drive Chromium, and the traces of those that fail: open one at `playwright show-trace`."""

import re

import pytest
from playwright.sync_api import expect, sync_playwright

import panel
from common import REPO

expect.set_options(timeout=10_000)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    item.has_failed = getattr(item, "has_failed", False) or outcome.get_result().failed


@pytest.fixture(scope="session")
def database(cluster):
    database = cluster.migrated()
    yield database
    cluster.drop(database)


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=panel.CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def close(contexts, faults, node, folder):
    """Closes the contexts of a test. Keeps their traces in .build/FOLDER if it failed or a page reported a fault, which
    fails it."""
    for number, context in enumerate(contexts):
        if getattr(node, "has_failed", False) or faults:
            traces = REPO / ".build" / folder
            traces.mkdir(parents=True, exist_ok=True)
            context.tracing.stop(path=traces / f"{re.sub(r'[^A-Za-z0-9]+', '-', node.name)}-{number}.zip")
        context.close()
    assert not faults, faults
