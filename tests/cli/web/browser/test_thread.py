"""Reading a thread in a real browser: moving in it, finding in it, following it."""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.web.browser.chromium import Tabs
from tests.cli.web.server import Server
from tests.samples.histories import spell
from tests.samples.rollouts import THREAD_ID
from tests.support.command import Cli
from tests.support.effort import PATIENCE_S
from tests.support.indexes import sync
from tests.support.reading import call, event, save, turn

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

URL = f"/thread/{THREAD_ID}"
TOP_OF_READ = """() => {
  const seen = [...document.querySelectorAll(".block")].find(
    (each) => each.getBoundingClientRect().bottom > 150);
  const turn = seen.closest("article").dataset.turn;
  return [turn, seen.dataset.block, Math.round(seen.getBoundingClientRect().top)];
}"""
AT_END = "scrollY + innerHeight >= document.documentElement.scrollHeight - 2"


def until(page: "Page", expression: str) -> None:
    """Wait for something to be so. The policy of pages forbids Playwright's own way."""
    ends = time.monotonic() + PATIENCE_S
    while not page.evaluate(expression):
        assert time.monotonic() < ends, expression
        page.wait_for_timeout(20)


@pytest.fixture
def thread(tmp_path: Path) -> Path:
    """The file of a thread of thirty turns, of which the last one has not ended."""
    long = "\n\n".join(["word " * 60] * 30)
    lines = [
        line
        for number in range(1, 31)
        for line in turn(
            number,
            *call(
                "shell_command", {"command": f"run {number}"}, "Exit code: 1\nOutput:\nno", number
            ),
            event("agent_message", message=f"answer {number}\n\n{long}"),
            ended=number < 30,
        )
    ]
    return save(tmp_path / "home", lines)


@pytest.fixture
def server(thread: Path, tmp_path: Path) -> Iterator[Server]:
    """A server of its home."""
    home, index = tmp_path / "home", tmp_path / "state" / "index.sqlite3"
    sync(home, index)
    with Server(Cli(home, tmp_path, {"THREADKEEP_DB": str(index)}), "--port", "0") as it:
        yield it


def test_a_person_moves_in_a_thread(server: Server, tabs: Tabs) -> None:
    from playwright.sync_api import TimeoutError as TooLate

    tab = tabs(server, viewport={"width": 1280, "height": 900})
    page, where = tab.page, tab.page.locator("#where b")

    def wait_for(turn_name: str) -> None:
        where.filter(has_text=re.compile(f"^{turn_name}$")).wait_for()

    tab.go(URL)
    wait_for("Turn 30")  # a thread opens at its end
    until(page, AT_END)
    page.keyboard.press("k")
    page.keyboard.press("k")
    wait_for("Turn 29")
    assert page.evaluate("document.activeElement.textContent") == "Turn 29"
    page.keyboard.press("j")
    wait_for("Turn 30")
    # By the outline to a turn that is not on the page, and back.
    page.locator("#outline a[href$='#turn-3']").click()
    wait_for("Turn 3")
    assert page.url.endswith("?turn=3#turn-3")
    assert page.locator("#outline [aria-current]").inner_text().startswith("3")
    # What is above is loaded without what is read moving.
    until(page, "document.querySelectorAll('.earlier').length === 0")
    wait_for("Turn 3")
    assert 0 < page.locator("#turn-3 h2").bounding_box()["y"] < 250  # type: ignore[index]
    page.keyboard.press("x")
    page.keyboard.press("x")
    wait_for("Turn 4")
    page.keyboard.press("Home")
    wait_for("Turn 1")
    page.keyboard.press("X")
    page.keyboard.press("x")
    for _ in range(4):  # a key that is pressed while another looks for its turn may not count
        page.keyboard.press("x")
        with suppress(TooLate):
            where.filter(has_text=re.compile("^Turn 2$")).wait_for(timeout=3000)
            break
    wait_for("Turn 2")
    # Find: everywhere in the thread, marked, one after the other; nothing moves before.
    before = page.evaluate("scrollY")
    page.keyboard.press("/")
    page.keyboard.type("answer 2")
    page.wait_for_timeout(100)
    assert page.evaluate("scrollY") == before
    page.keyboard.press("Enter")
    page.locator("#tally", has_text="/ 11").wait_for()
    page.keyboard.press("n")
    page.keyboard.press("N")
    assert page.locator(".block.hit").count() == 1
    assert page.evaluate("CSS.highlights.get('here').size") == 1
    page.keyboard.press("/")
    page.keyboard.type("answer 1")
    page.keyboard.press("Enter")
    page.locator("#found .hits", has_text="answer 19").wait_for()  # as many as before
    page.keyboard.press("Escape")
    page.locator("#found").wait_for(state="hidden")
    # Looks are kept for the next page.
    assert page.locator("details[data-kind=output]:not([open])").count() == 0
    page.keyboard.press("t")
    page.keyboard.press("t")
    assert page.locator("details[data-kind=output][open]").count() == 0
    tab.go(f"{URL}#turn-7")
    wait_for("Turn 7")
    assert page.locator("details[data-kind=output][open]").count() == 0
    page.keyboard.press("G")
    until(page, AT_END)
    wait_for("Turn 30")
    look_on_a_phone(server, tabs)


def test_a_page_knows_the_turn_that_is_seen_and_stays_there(server: Server, tabs: Tabs) -> None:
    tab = tabs(server, viewport={"width": 1280, "height": 800})
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = tab.go(f"{URL}?turn=3")

    def assert_at(number: int) -> None:
        page.locator("#where b", has_text=re.compile(f"^Turn {number}$")).wait_for()
        page.locator("#outline [aria-current] b", has_text=re.compile(f"^{number}$")).wait_for()

    page.locator("#outline a[href$='#turn-5']").click()
    assert_at(5)
    for key, number in ("x", 5), ("x", 6), ("x", 7), ("X", 6), ("End", 30), ("k", 30), ("k", 29):
        page.keyboard.press(key)
        tab.settle()
        if key == "End":
            tab.scroll_to_the_end()
        assert_at(number)
    page.keyboard.press("x")
    page.keyboard.press("x")
    assert_at(30)
    page.keyboard.press("y")
    page.get_by_text("Copied a link to turn 30.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").endswith("?turn=30#turn-30")
    page.locator("#turn-30").get_by_role("button", name="copy link").click()
    page.locator(".message").nth(1).wait_for()
    page.go_back()  # to where it was opened
    assert_at(3)
    page.evaluate("scrollBy(0, 400)")
    tab.settle()
    before = page.evaluate("scrollY")
    page.keyboard.press("/")
    page.keyboard.type("a")
    page.keyboard.press("Escape")
    for place in "#find input", "#search", "#outline a[href$='#turn-29']", ".tools summary":
        page.evaluate("(place) => document.querySelector(place).focus()", place)
    tab.settle()
    assert page.evaluate("scrollY") == before


def test_a_key_is_pressed_while_turns_are_loaded(server: Server, tabs: Tabs) -> None:
    tab, held = tabs(server), list["Route"]()
    page = tab.go(f"{URL}?turn=1")
    page.route("**/turns?from=*", lambda route: held.append(route))
    page.evaluate("document.querySelector('.later').scrollIntoView({block: 'end'})")
    while not held:
        page.wait_for_timeout(20)
    last = int(page.evaluate("[...document.querySelectorAll('article')].at(-1).dataset.number"))
    page.keyboard.press("j")
    page.wait_for_timeout(20)
    held.pop().continue_()
    page.locator("#where b", has_text=f"Turn {last + 1}").wait_for()
    assert not held  # it was asked for once


def look_on_a_phone(server: Server, tabs: Tabs) -> None:
    """The turns at the side are a drawer."""
    tab = tabs(server, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = tab.page
    tab.go(URL)
    page.locator("#turn-30").wait_for()
    assert page.locator("#outline").is_hidden()
    page.get_by_role("button", name="Turns").click()
    page.locator("#outline a[href$='#turn-12']").click()
    page.locator("#turn-12").wait_for()
    assert page.locator("#outline").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_thread_is_followed_without_a_jump(server: Server, tabs: Tabs, thread: Path) -> None:
    tab = tabs(server, viewport={"width": 1280, "height": 900})
    page = tab.page

    def add(*lines: dict[str, object]) -> None:
        with thread.open("ab") as file:
            file.write(spell([*lines]))

    tab.go(URL)
    page.get_by_text("New messages appear here.").wait_for()
    add(event("agent_message", message="said just now"))
    page.get_by_text("said just now").wait_for()
    until(page, AT_END)  # the end stays in view
    page.mouse.move(700, 500)
    page.mouse.wheel(0, -1500)
    until(page, f"!({AT_END})")
    before = page.evaluate(TOP_OF_READ)
    add(*turn(31)[2:], *turn(31), *turn(32))
    page.locator("#pill", has_text="2 new turns").wait_for()
    assert page.evaluate(TOP_OF_READ) == before
    page.locator("#pill").click()
    until(page, AT_END)
    page.locator("#pill").wait_for(state="hidden")
    add(event("thread_rolled_back", num_turns=3))
    page.get_by_text("This thread was rewritten").wait_for()
    page.get_by_role("link", name="Load it again").click()
    page.locator("#turn-29").wait_for()
    assert page.locator("#turn-30").count() == 0
    thread.rename(thread.with_suffix(".gone"))
    page.get_by_text("The file of this thread is gone.").wait_for()
    assert page.evaluate("document.getElementById('reading').getBoundingClientRect().top") > 0
    expected = ("400 (Bad Request)", "404 (Not Found)")  # parts of turns that are gone
    tab.wrong = [wrong for wrong in tab.wrong if not any(each in wrong for each in expected)]
