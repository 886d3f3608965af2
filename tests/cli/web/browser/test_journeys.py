"""What a person does from page to page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.web.browser.chromium import Tabs
from tests.cli.web.lists import answer, home, renew
from tests.cli.web.server import Server
from tests.support.command import Cli, thread_id

HIDE = """() => {
  Object.defineProperty(document, "hidden", { value: true, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the home lies that the tests share."""
    return tmp_path_factory.mktemp("journeys")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """A server of a home in which one agent said what no title says."""
    here = home(folder, *(f"prompt {number}" for number in range(1, 9)))
    answer(here, 3, "The webhook retries because the signature is computed twice.")
    renew(here)
    with Server(Cli(here.home, folder, {"THREADKEEP_DB": str(here.index)}), "--port", "0") as it:
        yield it


def test_a_thread_is_found_by_what_was_said_in_it(server: Server, tabs: Tabs) -> None:
    tab = tabs(server)
    page = tab.page
    assert page.url == f"{tab.base}/"
    assert server.token not in page.content()
    page.get_by_role("combobox").fill("signature twice")
    page.get_by_role("link", name="The webhook retries because").click()
    page.wait_for_url(f"**/thread/{thread_id(3)}?find=*")
    page.locator(".block.hit", has_text="computed twice").wait_for()
    assert page.get_by_role("heading", level=1).text_content() == "prompt 3"
    page.go_back()
    page.get_by_role("link", name="The webhook retries because").wait_for()
    assert page.get_by_role("combobox").input_value() == "signature twice"


def test_more_pages_can_be_open_than_a_browser_keeps_connections(
    server: Server, tabs: Tabs
) -> None:
    tab = tabs(server)
    for number in range(1, 8):
        page = tab.context.new_page()
        page.goto(f"{tab.base}/thread/{thread_id(number)}")
        page.get_by_role("heading", level=1, name=f"prompt {number}").wait_for()
        page.evaluate(HIDE)


def test_a_page_whose_thread_has_gone_before_it_asked_says_so(
    server: Server, tabs: Tabs, folder: Path
) -> None:
    tab = tabs(server, "")
    (path,) = (folder / "home").rglob(f"*{thread_id(8)}.jsonl")  # no other test looks at it

    def gone(route: Any) -> None:
        path.unlink(missing_ok=True)
        route.continue_()

    tab.page.route("**/events", gone)
    tab.go(f"/thread/{thread_id(8)}")
    tab.page.get_by_text("The file of this thread is gone.").wait_for()
    tab.wrong.clear()  # the browser tells of what was refused
