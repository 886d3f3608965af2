"""Threads with many turns, and what is asked of them."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rollout.schema.modes import LEGACY, PAGINATED
from rollout.schema.strict import Fields
from state.thread_store import ThreadStore, open_store
from state.turns.answers import TurnAnswers
from state.turns.pages import PageQuery
from tests.samples.histories import numbered, spell, turns_in
from tests.samples.homes import file_name, thread_id
from tests.samples.rollouts import event, response, user

Result = TypeVar("Result")
FOLDER = "sessions/2026/05/28"
LONG = 90  # turns: enough to be stored


def nobody(_: str) -> Path | None:
    """No history begins in another file."""
    return None


def head(number: int, mode: str, **meta: Any) -> Fields:
    """The first line of a thread."""
    stamp = "2026-05-28T20:00:00.000Z"
    facts = {"id": thread_id(number), "timestamp": stamp, "cwd": "/w", "originator": "t"}
    payload = facts | {"cli_version": "1", "history_mode": mode, "source": "cli"} | meta
    return {"timestamp": stamp, "type": "session_meta", "payload": payload}


def said(number: int, turn_id: str, kind: str, **fields: Any) -> Fields:
    """A completed item of a thread with this number."""
    item = {"type": kind, **fields}
    return event("item_completed", thread_id=thread_id(number), turn_id=turn_id, item=item)


def turn_lines(number: int, mode: str, count: int, *, first: int = 0, bulk: int = 4000) -> Any:
    """The lines of some turns, each with a question, an answer and ``bulk`` bytes besides."""
    lines: list[Fields] = []
    for at in range(first, first + count):
        name = f"turn {at}"
        lines.append(event("task_started", turn_id=name, started_at=at))
        if mode == LEGACY:
            answer = event("agent_message", message=f"answer {at}")
            lines += [user(f"question {at}"), response("x" * bulk), answer]
        else:
            text = [{"type": "text", "text": f"question {at}"}]
            words = [{"type": "Text", "text": f"answer {at}"}]
            lines += [
                said(number, name, "UserMessage", id=f"u{at}", content=text),
                response("x" * bulk),
                said(number, name, "AgentMessage", id=f"a{at}", content=words),
            ]
        lines.append(event("task_complete", turn_id=name, completed_at=at + 1, duration_ms=7))
    return lines


def content(number: int, mode: str, count: int, **options: Any) -> bytes:
    """A whole rollout with some turns."""
    lines = [head(number, mode), *turn_lines(number, mode, count, **options)]
    return spell(numbered(lines) if mode == PAGINATED else lines)


def put(home: Path, number: int, data: bytes, *, segment: int | None = None) -> Path:
    """Write a thread's file into a home."""
    path = home / FOLDER / file_name(number, segment)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def add(path: Path, lines: list[Fields], mode: str) -> None:
    """Append lines to a rollout, with the ordinals that are next."""
    ordinal = path.read_bytes().count(b"\n")
    with path.open("ab") as file:
        file.write(spell(numbered(lines, ordinal) if mode == PAGINATED else lines))


def touch_later(path: Path, seconds: int = 5) -> None:
    """Have a file that was changed look so, however coarse the clock is."""
    info = path.stat()
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns + seconds * 1_000_000_000))


def in_store(home: Path, index: Path, work: Callable[[ThreadStore], Awaitable[Result]]) -> Result:
    """What ``work`` gives in a store of its own."""

    async def opened() -> Result:
        async with open_store(home, index) as store:
            return await work(store)

    return asyncio.run(opened())


async def all_turns(store: ThreadStore, number: int) -> list[Fields]:
    """All turns of a thread, with all items."""
    return await store.with_turns(thread_id(number), lambda told: told.all_turns())


async def paged(
    store: ThreadStore, number: int, *, limit: int = 7, descending: bool = True
) -> list[Fields]:
    """All turns of a thread, with all items, page by page; the oldest first."""
    found: list[Fields] = []
    cursor: str | None = None
    while True:
        query = PageQuery(thread_id(number), cursor, limit, descending=descending)
        page = await store.with_turns(
            thread_id(number), partial(TurnAnswers.turns, query=query, view="full")
        )
        found += page["data"]
        cursor = page["nextCursor"]
        if cursor is None:
            return found[::-1] if descending else found


def truth(path: Path, mode: str) -> list[Fields]:
    """The turns of a thread in one file, folded from its beginning."""
    return turns_in(path, mode)
