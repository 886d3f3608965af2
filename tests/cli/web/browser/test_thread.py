"""Reading a thread in a real browser: moving in it, finding in it, following it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.web.browser.chromium import Tab, Tabs
from tests.cli.web.server import Server
from tests.samples.histories import spell
from tests.samples.rollouts import THREAD_ID
from tests.support.command import Cli
from tests.support.indexes import sync
from tests.support.reading import call, event, save, turn

if TYPE_CHECKING:
    from playwright.sync_api import Route

URL = f"/thread/{THREAD_ID}"
TOP_OF_READ = """() => {
  const seen = [...document.querySelectorAll(".block")].find(
    (each) => each.getBoundingClientRect().bottom > 150);
  const turn = seen.closest("article").dataset.turn;
  return [turn, seen.dataset.block, Math.round(seen.getBoundingClientRect().top)];
}"""
AT_END = "scrollY + innerHeight >= document.documentElement.scrollHeight - 2"


def write_thread(home: Path) -> Path:
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
    return save(home, lines)


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server of a home with a thread."""
    home, index = folder / "home", folder / "state" / "index.sqlite3"
    sync(home, index)
    with Server(Cli(home, folder, {"THREADKEEP_DB": str(index)}), "--port", "0") as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that tests share, which only read."""
    folder = tmp_path_factory.mktemp("thread")
    write_thread(folder / "home")
    with serving(folder) as started:
        yield started


def test_a_person_moves_in_a_thread(server: Server, tabs: Tabs) -> None:
    tab = tabs(server, URL, viewport={"width": 1280, "height": 900})
    page, where = tab.page, tab.page.locator("#where b")

    def wait_for(turn_name: str) -> None:
        where.filter(has_text=re.compile(f"^{turn_name}$")).wait_for()

    wait_for("Turn 30")  # a thread opens at its end
    tab.until(AT_END)
    press(tab, "kk")
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
    tab.until("document.querySelectorAll('.earlier').length === 0")
    wait_for("Turn 3")
    assert 0 < page.locator("#turn-3 h2").bounding_box()["y"] < 250  # type: ignore[index]
    press(tab, "xx")
    wait_for("Turn 4")
    page.keyboard.press("Home")
    wait_for("Turn 1")
    tab.until("scrollY === 0")
    press(tab, "Xxx")
    page.get_by_text("No command failed before this.").wait_for()
    wait_for("Turn 2")
    # Find: everywhere in the thread, marked, one after the other; nothing moves before.
    before = page.evaluate("scrollY")
    press(tab, "/answer 2")
    tab.settle()
    assert page.evaluate("scrollY") == before
    page.keyboard.press("Enter")
    tally = page.locator("#tally")
    tally.filter(has_text="1 / 11").wait_for()
    page.keyboard.press("n")
    tally.filter(has_text="2 / 11").wait_for()
    page.keyboard.press("N")
    tally.filter(has_text="1 / 11").wait_for()
    assert page.locator(".block.hit").count() == 1
    assert page.evaluate("CSS.highlights.get('here').size") == 1
    press(tab, "/answer 1")
    page.keyboard.press("Enter")
    page.locator("#found .hits", has_text="answer 19").wait_for()  # as many as before
    page.keyboard.press("Escape")
    page.locator("#found").wait_for(state="hidden")
    # Looks are kept for the next page.
    assert page.locator("details[data-kind=output]:not([open])").count() == 0
    press(tab, "tt")
    page.locator("details[data-kind=output][open]").first.wait_for(state="detached")
    tab.go(f"{URL}#turn-7")
    wait_for("Turn 7")
    assert page.locator("details[data-kind=output][open]").count() == 0
    page.keyboard.press("G")
    tab.until(AT_END)
    wait_for("Turn 30")
    look_on_a_phone(server, tabs)


def test_a_page_knows_the_turn_that_is_seen_and_stays_there(server: Server, tabs: Tabs) -> None:
    tab = tabs(server, f"{URL}?turn=3", viewport={"width": 1280, "height": 800})
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = tab.page

    def assert_at(number: int) -> None:
        page.locator("#where b", has_text=re.compile(f"^Turn {number}$")).wait_for()
        page.locator("#outline [aria-current] b", has_text=re.compile(f"^{number}$")).wait_for()

    page.locator("#outline a[href$='#turn-5']").click()
    assert_at(5)
    for key, number in ("x", 5), ("x", 6), ("x", 7), ("X", 6), ("End", 30), ("k", 30), ("k", 29):
        page.keyboard.press(key)
        if key == "End":
            tab.scroll_to_the_end()
        assert_at(number)
    press(tab, "xxy")
    assert_at(30)
    page.get_by_text("Copied a link to turn 30.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").endswith("?turn=30#turn-30")
    page.locator("#turn-30").get_by_role("button", name="copy link").click()
    page.locator(".message").nth(1).wait_for()
    page.go_back()  # to where it was opened
    assert_at(3)
    page.evaluate("scrollBy(0, 400)")
    tab.settle()
    before = page.evaluate(TOP_OF_READ)
    press(tab, "/a")
    page.keyboard.press("Escape")
    for place in "#find input", "#search", "#outline a[href$='#turn-29']", ".tools summary":
        page.evaluate("(place) => document.querySelector(place).focus()", place)
    tab.settle()
    assert page.evaluate(TOP_OF_READ) == before


def hold(tab: Tab) -> tuple[list["Route"], int]:
    """Have no more turns come: what is held back of them, and the number of the last one here."""
    held = list["Route"]()
    tab.page.route("**/turns?from=*", lambda route: held.append(route))
    tab.go(f"{URL}?turn=1")
    last = tab.page.locator("article.turn").last.get_attribute("data-number")
    tab.page.locator(".later").scroll_into_view_if_needed()
    await_held(tab, held, 1)
    return held, int(last or 0)


def await_held(tab: Tab, held: list["Route"], count: int) -> None:
    """Wait until so many requests are held back."""
    while len(held) < count:
        tab.page.wait_for_timeout(20)


def press(tab: Tab, keys: str) -> None:
    """Press keys, without waiting for what they do."""
    for key in keys:
        tab.page.keyboard.press(key)


def test_each_key_counts_while_turns_are_loaded(server: Server, tabs: Tabs) -> None:
    tab = tabs(server, "", viewport={"width": 1280, "height": 900})
    held, last = hold(tab)
    press(tab, "jjxx")
    assert len(held) == 1  # it is asked for once
    held.pop().continue_()
    tab.page.locator("#where b", has_text=f"Turn {last + 3}").wait_for()
    assert not held
    # So it is with a turn that is asked for alone, as its neighbours are far away.
    held, last = hold(tab)
    tab.page.locator(f"#outline a[href$='#turn-{last}']").click()
    press(tab, "xxxXx")
    await_held(tab, held, 2)
    for route in held:
        route.continue_()
    tab.page.locator("#where b", has_text=f"Turn {last + 2}").wait_for()


def test_whatever_else_one_does_ends_the_keys_that_wait(server: Server, tabs: Tabs) -> None:
    tab = tabs(server, "", viewport={"width": 1280, "height": 900})
    page = tab.page
    held, last = hold(tab)
    press(tab, "jj/abc")
    held.pop().continue_()
    tab.until(f"document.querySelectorAll('article.turn').length > {last}")
    assert page.evaluate("document.activeElement.value") == "abc"
    assert page.locator("#where b").inner_text() == f"Turn {last}"
    page.keyboard.press("Escape")
    held, last = hold(tab)
    press(tab, "jj")
    bottom = page.evaluate("scrollY")
    page.mouse.move(700, 500)
    page.mouse.wheel(0, -300)
    tab.until("scrollY < " + str(bottom))
    before = page.evaluate("scrollY")
    held.pop().continue_()
    tab.until(f"document.querySelectorAll('article.turn').length > {last}")
    assert page.evaluate("scrollY") == before


def test_a_key_that_fails_is_told_of_and_those_behind_it_are_done(
    server: Server, tabs: Tabs
) -> None:
    tab = tabs(server, URL)
    tab.page.evaluate(
        """async () => {
          const { inTurn } = await import("/static/keys.js");
          inTurn(() => { throw new Error("a broken step"); });
          inTurn(() => { window.behind = true; });
        }"""
    )
    tab.until("window.behind")
    assert tab.wrong == ["error: a broken step"]
    tab.wrong.clear()


def look_on_a_phone(server: Server, tabs: Tabs) -> None:
    """The turns at the side are a drawer."""
    phone = {"width": 390, "height": 844}
    page = tabs(server, URL, viewport=phone, has_touch=True, is_mobile=True).page
    page.locator("#turn-30").wait_for()
    assert page.locator("#outline").is_hidden()
    page.get_by_role("button", name="Turns").click()
    page.locator("#outline a[href$='#turn-12']").click()
    page.locator("#turn-12").wait_for()
    assert page.locator("#outline").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.fixture
def thread(tmp_path: Path) -> Path:
    """The file of a thread that a test changes."""
    return write_thread(tmp_path / "home")


@pytest.fixture
def own_server(thread: Path, tmp_path: Path) -> Iterator[Server]:
    """A server of its home."""
    with serving(tmp_path) as started:
        yield started


def test_a_thread_is_followed_without_a_jump(own_server: Server, tabs: Tabs, thread: Path) -> None:
    tab = tabs(own_server, URL, viewport={"width": 1280, "height": 900})
    page = tab.page

    def add(*lines: dict[str, object]) -> None:
        with thread.open("ab") as file:
            file.write(spell([*lines]))

    page.get_by_text("New messages appear here.").wait_for()
    add(event("agent_message", message="said just now"))
    page.get_by_text("said just now").wait_for()
    tab.until(AT_END)  # the end stays in view
    page.mouse.move(700, 500)
    page.mouse.wheel(0, -1500)
    tab.until(f"!({AT_END})")
    before = page.evaluate(TOP_OF_READ)
    add(*turn(31)[2:], *turn(31), *turn(32))
    page.locator("#pill", has_text="2 new turns").wait_for()
    assert page.evaluate(TOP_OF_READ) == before
    page.locator("#pill").click()
    tab.until(AT_END)
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
