"""Whatever a thread holds, a browser runs nothing of it, and asks nobody else for anything."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from tests.cli.web.browser.chromium import Tab, Tabs
from tests.cli.web.browser.hostile import WORD, Attack, write_home
from tests.cli.web.server import Server
from tests.support.command import Inside

_FOUND: Final = """() => {
  const wrong = [];
  const ours = location.origin;
  const refused = "iframe, object, embed, base, video, audio, style, meta[http-equiv]";
  for (const element of document.querySelectorAll("*")) {
    for (const { name, value } of element.attributes) {
      const runs = name.startsWith("on") || name === "style" || name === "srcdoc";
      if (runs) wrong.push(`${name}=${value}`);
    }
    if (Element.prototype.matches.call(element, refused)) {
      wrong.push(element.outerHTML);
    }
  }
  for (const script of document.scripts) {
    if (!script.src.startsWith(`${ours}/static/`) || script.text) wrong.push(script.outerHTML);
  }
  for (const link of document.querySelectorAll("a[href], area[href], link[href]")) {
    const address = new URL(link.href, location);
    if (!["http:", "https:", "mailto:"].includes(address.protocol)) wrong.push(link.outerHTML);
    if (link.tagName === "LINK" && address.origin !== ours) wrong.push(link.outerHTML);
  }
  for (const picture of document.querySelectorAll("[src]")) {
    const address = new URL(picture.src, location);
    if (address.origin !== ours && address.protocol !== "data:") wrong.push(picture.outerHTML);
  }
  for (const form of document.forms) {
    if (new URL(form.action, location).origin !== ours) wrong.push(form.outerHTML);
  }
  return wrong.map((each) => each.slice(0, 300));
}"""


_UNFOLD: Final = """() => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  for (const more of [...document.querySelectorAll(".more a")].slice(0, 5)) more.click();
}"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, Attack]]]:
    """A server of the hostile home, and its threads by id. Names and marks are so, too."""
    base = tmp_path_factory.mktemp("hostile")
    threads = write_home(base / "home")
    cli = Inside(base / "home", base)
    cli.run("search", WORD)
    for id_, attack in threads.items():
        text = attack.long[:3000].replace("\ud800", "").replace("\x00", "")
        cli.run("rename", id_, text)
        cli.run("note", id_, text)
    cli.run("tag", "<img/src=x/onerror=pwned(1)>", *threads)
    with Server(cli, "--port", "0", "--allow-changes") as server:
        yield server, threads


def look(tab: Tab, path: str) -> None:
    """Load a page, and all of it that comes as one scrolls."""
    tab.go(path)
    tab.scroll_to_the_end()
    check(tab)


def check(tab: Tab) -> None:
    """Nothing of what is shown may do anything."""
    assert tab.page.evaluate(_FOUND) == [], tab.page.url
    assert "49" not in tab.page.title()


def look_at_thread(tab: Tab, id_: str) -> None:
    """Look at a thread, search in it, and unfold what is long."""
    look(tab, f"/thread/{id_}")
    page = tab.page
    assert page.get_by_text(WORD).count() >= 2
    page.evaluate(_UNFOLD)
    tab.settle()
    page.get_by_label("Find in this thread").fill(WORD)
    page.keyboard.press("Enter")
    page.locator("#found li").first.wait_for()
    check(tab)


def test_no_thread_runs_a_script_or_asks_elsewhere(
    hostile: tuple[Server, dict[str, Attack]], tabs: Tabs
) -> None:
    server, threads = hostile
    tab = tabs(server, "")
    ran: list[Any] = []
    tab.page.expose_function("pwned", lambda *told: ran.append(told))
    for path in ("/", "/usage", "/health", f"/?q={WORD}"):
        look(tab, path)
    for attack in {*threads.values()}:
        text = attack.long[:2000].encode("utf-8", "replace").decode()
        look(tab, "/?" + urlencode({"q": f'"{text}"'}))
        look(tab, "/?" + urlencode({"q": f"tag:{text}"}))
    for id_ in threads:
        look_at_thread(tab, id_)
    for id_ in [*threads][:2]:  # without a script these are pages of their own
        look(tab, f"/thread/{id_}/outline")
        look(tab, f"/thread/{id_}/search?q={WORD}")
    assert ran == []
