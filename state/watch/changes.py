"""Changes of threads: found by comparing what the index has with what was seen last.

A feed keeps for each changed thread only its state at the last change that was read. Changes that
come faster than they are read become one, and a feed is never larger than the number of threads.
"""

import asyncio
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from state.db.sql import AMONG, listed
from state.db.steps import Steps

ChangeKind = Literal["appeared", "changed", "archived", "unarchived", "vanished"]


class SeenThread(NamedTuple):
    """The columns of a thread that are compared."""

    archived: int
    updated_at_ms: int
    name: str | None
    size_bytes: int


_SEEN_SQL: Final = f"SELECT id, {', '.join(SeenThread._fields)} FROM threads"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one thread."""

    kind: ChangeKind
    thread_id: str
    seen: SeenThread
    """Its state now; its last state if it has vanished."""


def change_of(thread_id: str, before: SeenThread | None, now: SeenThread | None) -> Change | None:
    """The change from ``before`` to ``now``; None if there is none. A thread that was archived and
    changed in another way counts as archived."""
    if now is None:
        return None if before is None else Change("vanished", thread_id, before)
    if before is None:
        return Change("appeared", thread_id, now)
    if before.archived != now.archived:
        return Change("archived" if now.archived else "unarchived", thread_id, now)
    return Change("changed", thread_id, now) if before != now else None


def difference_steps(
    known: Mapping[str, SeenThread], ids: Sequence[str] | None
) -> "Steps[dict[str, SeenThread | None]]":
    """The threads that are not as ``known``, of ``ids`` or of all: their state in the index, None
    for those that are not there."""
    if ids is None:
        rows = yield _SEEN_SQL, []
        looked_at = set(known)
    else:
        rows = yield f"{_SEEN_SQL} WHERE id {AMONG}", [listed(ids)]
        looked_at = known.keys() & set(ids)
    others: dict[str, SeenThread | None] = {
        row[0]: SeenThread._make(row[1:]) for row in rows if known.get(row[0]) != row[1:]
    }
    held = {row[0] for row in rows}
    return others | {id_: None for id_ in looked_at if id_ not in held}


class ChangeFeed:
    """The changes of threads, an asynchronous iterator that never ends."""

    def __init__(self, known: Mapping[str, SeenThread]) -> None:
        self._known = known  # SeenThreads keeps it up to date
        self._before: dict[str, SeenThread | None] = {}
        self._changed = asyncio.Event()

    def note(self, thread_id: str, before: SeenThread | None) -> None:
        """Note that a thread is no longer as it was ``before``."""
        self._before.setdefault(thread_id, before)
        self._changed.set()

    def __aiter__(self) -> "ChangeFeed":
        return self

    async def __anext__(self) -> Change:
        while (change := self.next()) is None:
            self._changed.clear()
            await self._changed.wait()
        return change

    def next(self) -> Change | None:
        """The next change; None if there is none for now."""
        while self._before:
            thread_id = next(iter(self._before))
            before = self._before.pop(thread_id)
            change = change_of(thread_id, before, self._known.get(thread_id))
            if change:
                return change
        return None


class SeenThreads:
    """The last seen state of all threads, and the feeds of its changes. It outlives an index that
    has to be opened again."""

    def __init__(self) -> None:
        self._known: dict[str, SeenThread] = {}
        self._filled = False
        self._feeds: weakref.WeakSet[ChangeFeed] = weakref.WeakSet()

    @property
    def known(self) -> Mapping[str, SeenThread]:
        """The state of each thread, by id."""
        return self._known

    def changes(self) -> ChangeFeed:
        """The changes from now on."""
        feed = ChangeFeed(self._known)
        self._feeds.add(feed)
        return feed

    def note(self, others: Mapping[str, SeenThread | None]) -> None:
        """Note the state of threads that have changed, None for those that are gone. The first call
        fills this, and is no change."""
        for thread_id, now in others.items():
            before = self._known.pop(thread_id, None)
            if now is not None:
                self._known[thread_id] = now
            for feed in self._feeds if self._filled else ():
                feed.note(thread_id, before)
        self._filled = True


def change_json(change: Change) -> dict[str, Any]:
    """A change as JSON, with times in milliseconds."""
    seen = change.seen
    return {
        "kind": change.kind,
        "id": change.thread_id,
        "name": seen.name,
        "archived": bool(seen.archived),
        "updatedAt": seen.updated_at_ms,
        "sizeBytes": seen.size_bytes,
    }
