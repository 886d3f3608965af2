"""Pages for everybody: nothing that axe calls serious, in all colours and on every width."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.web.browser.chromium import Tab, Tabs
from tests.cli.web.server import Server
from tests.support.command import Cli
from tests.support.effort import is_full, sample

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
THREAD = "/thread/01a1d076-9471-7c91-a7ce-4586102a35bc?turn=1"
"""It has a patch and a command."""
PATHS = ("/?q=pagination+-draft", THREAD, "/usage?since=all&compare=1", "/health")
LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "light", "viewport": DESKTOP},
    {"color_scheme": "dark", "viewport": PHONE},
]
if is_full():  # colours do not depend on the width
    LOOKS += [
        {"color_scheme": "dark", "viewport": DESKTOP},
        {"color_scheme": "light", "viewport": PHONE},
    ]


@pytest.fixture
def server(corpus_home: Path, own_corpus_index: Path, tmp_path: Path) -> Iterator[Server]:
    """A server of the corpus on which changes are allowed."""
    cli = Cli(corpus_home, tmp_path, {"THREADKEEP_DB": str(own_corpus_index)})
    with Server(cli, "--port", "0", "--allow-changes") as it:
        yield it


def serious(tab: Tab) -> list[tuple[str, str, str]]:
    """What axe finds in a page: which rule, of what, and why."""
    assert not tab.page.evaluate("document.documentElement.scrollWidth > innerWidth"), tab.page.url
    axe = pytest.importorskip(
        "axe_playwright_python.base", reason="NO AXE: pip install -e '.[dev]'"
    )
    tab.page.evaluate(axe.AXE_SCRIPT)
    found = tab.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (rule["id"], node["html"][:200], node["failureSummary"])
        for rule in found["violations"]
        for node in rule["nodes"]
        if rule["impact"] in ("serious", "critical")
    ]


def test_nothing_serious_is_found_on_any_page(server: Server, tabs: Tabs) -> None:
    for looks in sample(LOOKS):
        look_at_all(tabs(server, PATHS[0], **looks))


def look_at_all(tab: Tab) -> None:
    """Find nothing on any page."""
    page = tab.page
    for path in PATHS:
        if path != PATHS[0]:
            tab.go(path)
        if path == "/health":
            page.get_by_role("button", name="Verify now").click()
            page.get_by_text("It began at").wait_for()
            page.get_by_text("No problems", exact=True).wait_for()
        if path == THREAD:
            page.get_by_label("Find in this thread").fill("hello")
            page.keyboard.press("Enter")
            page.locator("#tally", has_text="1 / ").wait_for()
            if tab.page.viewport_size == PHONE:
                page.get_by_role("button", name="Turns").click()
        assert serious(tab) == [], path
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    assert serious(tab) == []
    if is_full() or page.viewport_size == PHONE:
        tab.go("/?q=tag:none-has-this")
        assert serious(tab) == []
    tab.go("/no/page")
    assert serious(tab) == []
    tab.wrong = [wrong for wrong in tab.wrong if "404 (Not Found)" not in wrong]
