"""The list of threads in a real browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from state.userdata.marks import tag_key
from tests.cli.web.browser.chromium import Tabs
from tests.cli.web.lists import answer, home, mark, renew
from tests.cli.web.server import Server
from tests.support.command import Cli, thread_id, write_rollout

if TYPE_CHECKING:
    from playwright.sync_api import Route

FOCUSED = "document.activeElement.textContent"


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server of a home with more threads than a part of the list shows, which may be changed."""
    prompts = [f"prompt {number}" for number in range(1, 57)]
    here = home(folder, *prompts, "one", "two", "webhook", "four")
    answer(here, 58, "so the webhook retries")
    mark(here, 58, tag_key("later"), "1")
    renew(here)
    cli = Cli(here.home, folder, {"THREADKEEP_DB": str(here.index)})
    with Server(cli, "--port", "0", "--allow-changes") as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that tests share: each changes a thread of its own."""
    with serving(tmp_path_factory.mktemp("list")) as started:
        yield started


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """One of a test alone, which adds threads."""
    with serving(tmp_path) as started:
        yield started


def test_a_thread_is_found_by_the_keyboard_alone(server: Server, tabs: Tabs) -> None:
    tab = tabs(server)
    page = tab.page
    page.keyboard.press("/")
    page.keyboard.type("webhook")
    page.locator("#count", has_text="2 threads: 1 by title, 1 by what was said").wait_for()
    assert page.url.endswith("/?q=webhook")
    assert page.title() == "webhook · Threads · threadkeep"
    snippet = page.locator("#rows .said a")
    assert snippet.text_content() == "Codex so the webhook retries"
    assert snippet.get_attribute("href") == f"/thread/{thread_id(58)}?find=webhook"

    page.keyboard.type(" tag:l")
    option = page.get_by_role("option", name="tag:later")
    option.wait_for()
    page.keyboard.press("ArrowDown")
    assert option.get_attribute("aria-selected") == "true"
    box = page.get_by_role("combobox")
    assert box.get_attribute("aria-activedescendant") == option.get_attribute("id")
    page.keyboard.press("Enter")
    assert box.input_value() == "webhook tag:later "
    tab.listed("webhook tag:later")
    page.locator("#count", has_text="1 thread by what was said").wait_for()
    page.keyboard.press("ArrowDown")
    assert page.evaluate(FOCUSED) == "two"
    page.keyboard.press("ArrowUp")
    assert box.evaluate("box => box === document.activeElement")

    page.keyboard.press("Escape")
    page.locator("#count", has_text="60 threads").wait_for()
    page.get_by_role("link", name="odd 30 threads").click()
    page.wait_for_url("**/?q=project%3Aodd")
    page.locator("#count", has_text="30 threads").wait_for()
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate(FOCUSED) == "one"
    page.go_back()
    page.locator("#count", has_text="60 threads").wait_for()
    assert box.input_value() == ""


def test_each_key_counts_while_threads_are_loaded(server: Server, tabs: Tabs) -> None:
    tab, held = tabs(server, ""), list["Route"]()
    page = tab.page
    page.route("**/threads?*cursor=*", lambda route: held.append(route))
    with page.expect_request("**/threads?*cursor=*"):
        tab.go("/")
        page.evaluate("document.querySelector('#rows > .more').scrollIntoView()")
    page.locator("#rows > .row a").last.focus()
    shown = page.locator("#rows > .row").count()
    for key in ("j", "j", "j", "k"):
        page.keyboard.press(key)
    assert page.locator("#rows > .row").count() == shown < 60
    while not held:
        page.wait_for_timeout(20)
    held.pop().continue_()
    row = page.locator("#rows > .row").nth(shown + 1)
    row.locator(".title a:focus").wait_for()
    assert not held  # it was asked for once


def test_what_changes_meanwhile_moves_nothing(
    own_server: Server, tabs: Tabs, tmp_path: Path
) -> None:
    page = tabs(own_server).page
    page.locator("#incomplete").wait_for(state="hidden")  # what is below moves up then
    page.keyboard.press("j")
    page.keyboard.press("j")
    place = "document.activeElement.getBoundingClientRect().top"
    before = page.evaluate(FOCUSED), page.evaluate(place)
    assert before[0] == "webhook"
    write_rollout(tmp_path / "home", 61, "quite new")
    news = page.get_by_role("button", name="1 thread has changed: show")
    news.wait_for()
    assert (page.evaluate(FOCUSED), page.evaluate(place)) == before
    assert page.locator("#count").inner_text() == "61 threads"
    news.click()
    page.get_by_role("link", name="quite new", exact=True).wait_for()
    assert news.is_hidden()

    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.get_by_role("link", name="prompt 1", exact=True).wait_for()
    assert page.locator("#rows > .row").count() == 61


def test_a_thread_is_changed_in_a_dialog(server: Server, tabs: Tabs) -> None:
    tab = tabs(server)
    page = tab.page
    page.keyboard.press("j")
    page.keyboard.press("c")
    dialog = page.get_by_role("dialog", name="Change “four”")
    dialog.get_by_label("Tags").fill("good,-,bad")
    page.keyboard.press("Enter")
    dialog.get_by_text("A tag must not be empty.").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
    tab.wrong.clear()  # the browser tells of each refusal
    dialog.get_by_label("Name").fill("A better name")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="A better name", exact=True).wait_for()
    assert dialog.is_hidden()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Undone: renamed to “A better name”.").wait_for()
    page.get_by_role("link", name="four", exact=True).wait_for()


def test_all_that_was_typed_into_a_dialog_is_saved(server: Server, tabs: Tabs) -> None:
    page = tabs(server).page
    page.get_by_role("link", name="prompt 56", exact=True).focus()
    row = page.locator("#rows > .row").nth(4)
    page.keyboard.press("c")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Note").fill("look again")
    page.keyboard.press("Escape")
    dialog.get_by_text("This is not saved yet.").wait_for()
    dialog.get_by_label("Name").fill("the last one")
    page.keyboard.press("Enter")
    dialog.wait_for(state="hidden")
    row.get_by_role("link", name="the last one", exact=True).wait_for()
    row.get_by_text("look again").wait_for()
    undo = page.locator(".message", has_text="Noted on").get_by_role("button", name="Undo")
    undo.click()
    row.get_by_text("look again").wait_for(state="detached")
    # A filter at the side keeps the focus, though the list and its sides are new.
    page.get_by_role("link", name="odd 30 threads").press("Enter")
    page.locator("#count", has_text="30 threads").wait_for()
    assert page.evaluate(f"{FOCUSED}.trim().startsWith('odd')")
