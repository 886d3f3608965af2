"""Homes for the list of threads, and what its pages say."""

import asyncio
import html
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cli.arguments.locations import Locations
from state.edit.marks import set_marks
from state.fulltext.indexer import caught_up_fulltext
from tests.cli.web.support import SCRIPT, Web, web
from tests.support.command import thread_id, write_rollout
from tests.support.indexes import in_index, sync

Look = Callable[[Web], Awaitable[None]]


def home(folder: Path, *texts: str) -> Locations:
    """A home with a thread for each text, the last of which is the newest."""
    here = Locations(folder / "home", folder / "state" / "index.sqlite3")
    for number, text in enumerate(texts, 1):
        write_rollout(here.home, number, text, cwd=f"/w/{'even' if number % 2 == 0 else 'odd'}")
    renew(here)
    return here


def renew(here: Locations) -> None:
    """Bring the index in step, with the messages."""
    sync(here.home, here.index)
    in_index(here.home, here.index, caught_up_fulltext)


def append(here: Locations, number: int, payload: Mapping[str, Any]) -> None:
    """Append an event to a thread."""
    (path,) = here.home.rglob(f"*{thread_id(number)}.jsonl")
    line = {"timestamp": "2026-10-16T00:00:00.000Z", "type": "event_msg", "payload": payload}
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def answer(here: Locations, number: int, text: str) -> None:
    """Have the model say something in a thread."""
    append(here, number, {"type": "agent_message", "message": text})


def mark(here: Locations, number: int, key: str, value: str) -> None:
    """Put a mark on a thread."""
    change = {key: value}
    in_index(here.home, here.index, lambda index: set_marks(index, [thread_id(number)], change))


def see(here: Locations, look: Look, *, allow_changes: bool = False) -> None:
    """Let a browser look at the pages of a home."""

    async def looking() -> None:
        async with web(here, allow_changes=allow_changes) as browser:
            await look(browser)

    asyncio.run(looking())


async def listed(browser: Web, text: str = "", **more: str) -> str:
    """The part of the page that a script asks for."""
    given = urlencode({"q": text, **more})
    found = await browser.get(f"/threads?{given}", headers=SCRIPT)
    assert found.status_code == 200, found.text
    return found.text


def numbers(page: str) -> list[int]:
    """The numbers of the threads in the rows, in order."""
    return [int(id_[-4:], 16) for id_ in re.findall(r'data-id="([^"]+)"', page)]


def text_of(page: str, name: str) -> str:
    """What the element with this id says."""
    found = re.search(rf'id="{name}"[^>]*>(.*?)</(?:p|div)>\n', page, re.DOTALL)
    assert found, page
    return plain(found[1])


def plain(page: str) -> str:
    """The text of a part of a page, on one line."""
    return html.unescape(" ".join(re.sub(r"<[^>]+>", "", page).split()))


def links(page: str) -> dict[str, str]:
    """What the texts of links ask for in the search box."""
    found = re.findall(r'<a [^>]*href="([^"]*)"[^>]*>(.*?)</a>', page, re.DOTALL)
    asked = {plain(text): urlsplit(html.unescape(href)) for href, text in found}
    return {
        text: parse_qs(url.query).get("q", [""])[0]
        for text, url in asked.items()
        if url.path == "/"
    }


class Checker(HTMLParser):
    """Finds tags that are not closed, and ids that are there twice."""

    EMPTY = frozenset({"meta", "link", "input", "img", "br", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len({*names}), (tag, attrs)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (self.open, tag, self.getpos())


def check(page: str) -> None:
    """A page is well-formed."""
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert not checker.open
    assert len(checker.ids) == len({*checker.ids})
