"""What has become of threads since somebody last looked: found by comparing, told one by one.

Who listens holds, for each thread that has changed, only how it was when it was last told of. So
changes that come faster than they are read become one, and what is held is never more than there
are threads.
"""

import asyncio
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import orjson

from state.db.steps import Steps

ChangeKind = Literal["appeared", "changed", "archived", "unarchived", "vanished"]


class SeenThread(NamedTuple):
    """What a change of a thread is told by."""

    archived: int
    updated_at_ms: int
    name: str | None
    size_bytes: int


_SEEN_SQL: Final = f"SELECT id, {', '.join(SeenThread._fields)} FROM threads"


@dataclass(frozen=True, slots=True)
class Change:
    """What has become of one thread."""

    kind: ChangeKind
    thread_id: str
    seen: SeenThread
    """How it is now; for one that has vanished, how it was last."""


def change_of(thread_id: str, before: SeenThread | None, now: SeenThread | None) -> Change | None:
    """The change that leads from ``before`` to ``now``; None if there is none. A thread that was
    archived and changed otherwise too counts as archived."""
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
    """How threads are in the index that are not as ``known``: those of ``ids``, or all of them."""
    if ids is None:
        rows = yield _SEEN_SQL, []
        looked_at = set(known)
    else:
        listed = orjson.dumps(ids).decode()
        rows = yield f"{_SEEN_SQL} WHERE id IN (SELECT value FROM json_each(?))", [listed]
        looked_at = known.keys() & set(ids)
    others: dict[str, SeenThread | None] = {
        row[0]: SeenThread._make(row[1:]) for row in rows if known.get(row[0]) != row[1:]
    }
    held = {row[0] for row in rows}
    return others | {id_: None for id_ in looked_at if id_ not in held}


class ChangeFeed:
    """The changes of threads, as an asynchronous iterator without an end."""

    def __init__(self, known: Mapping[str, SeenThread]) -> None:
        self._known = known  # how threads are; whoever makes this keeps it up to date
        self._before: dict[str, SeenThread | None] = {}
        self._told = asyncio.Event()

    def note(self, thread_id: str, before: SeenThread | None) -> None:
        """A thread is not as it was ``before``."""
        self._before.setdefault(thread_id, before)
        self._told.set()

    def __aiter__(self) -> "ChangeFeed":
        return self

    async def __anext__(self) -> Change:
        while (change := self.next()) is None:
            self._told.clear()
            await self._told.wait()
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
    """How the threads were seen last, and who wants to know when that changes. Outlives the index
    that is looked at, should it have to be opened again."""

    def __init__(self) -> None:
        self._known: dict[str, SeenThread] = {}
        self._compares = False
        self._news: weakref.WeakSet[ChangeFeed] = weakref.WeakSet()

    @property
    def known(self) -> Mapping[str, SeenThread]:
        """How the threads are, by id."""
        return self._known

    def changes(self) -> ChangeFeed:
        """What changes from now on. Who does not read gets fewer changes later, not more."""
        news = ChangeFeed(self._known)
        self._news.add(news)
        return news

    def note(self, others: Mapping[str, SeenThread | None]) -> None:
        """How threads are that are not as they were; None for those that are gone. The first time
        all are, which is no change of any."""
        for thread_id, now in others.items():
            before = self._known.pop(thread_id, None)
            if now is not None:
                self._known[thread_id] = now
            for news in self._news if self._compares else ():
                news.note(thread_id, before)
        self._compares = True


def change_json(change: "Change") -> dict[str, Any]:
    """A change of a thread; its times are in milliseconds."""
    seen = change.seen
    return {
        "kind": change.kind,
        "id": change.thread_id,
        "name": seen.name,
        "archived": bool(seen.archived),
        "updatedAt": seen.updated_at_ms,
        "sizeBytes": seen.size_bytes,
    }
