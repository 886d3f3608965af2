"""What can go wrong with rollout files.

RolloutError
├ HomeNotFound(path)
├ NotACodexHome(path)
├ UnreadableRollout(path, reason, offset)
├ DamagedCompression(reason, offset)
│ └ ExpandsTooFar(offset)
├ NotAppendable(path, reason)
├ HistoryIncomplete(path, reason)
├ HistoryUnknown(path, mode)
├ TurnNotFound(turn_id, turn_ids, last)
├ AmbiguousTurn(turn_id, count)
├ TurnUnfinished(turn_id)
└ WriterActive(thread_id, holder)

A bad *line* is data (:class:`rollout.jsonl.parse.BadLine`), because the file has other lines;
only a file that gives nothing at all is an exception.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final, NamedTuple

SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""The system has run out of descriptors or memory: it says nothing about the file itself."""
EXPANDS: Final = "expands beyond"
"""How the reason of :class:`ExpandsTooFar` begins."""
_SHOWN_TURNS: Final = 5


class RolloutError(Exception):
    """Base of all errors about rollout files."""


class HomeNotFound(RolloutError):
    """There is no Codex home at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        what = "it is a file" if path.exists() else "there is no such folder"
        super().__init__(f"no Codex home at {path}: {what}")


class NotACodexHome(RolloutError):
    """The folder at ``path`` exists, and nothing in it is Codex's; ``home`` is the one that it is
    in, if it is in one."""

    def __init__(self, path: Path, home: Path | None = None) -> None:
        self.path = path
        meant = f"did you mean {home}?" if home else "it has no folder sessions"
        super().__init__(f"{path} is not a Codex home: {meant}")


class UnreadableRollout(RolloutError):
    """A rollout file that gives no thread; ``offset`` is the byte where reading ended."""

    def __init__(self, path: str, reason: str, offset: int = 0) -> None:
        self.path = path
        self.reason = reason
        self.offset = offset
        super().__init__(f"{path}: {reason} (at byte {offset})")


class DamagedCompression(RolloutError):
    """A zstd frame is garbage or cut short; ``offset`` is how much content came before it."""

    def __init__(self, reason: str, offset: int) -> None:
        self.reason = f"damaged zstd: {reason}"
        self.offset = offset
        super().__init__(f"damaged zstd content after {offset} bytes: {reason}")


class ExpandsTooFar(DamagedCompression):
    """A small compressed file expands without end: reading stops at ``offset`` of its content."""

    def __init__(self, offset: int) -> None:
        self.reason = f"{EXPANDS} {offset:,} bytes, which no real rollout of its size does"
        self.offset = offset
        RolloutError.__init__(self, f"the content {self.reason}")


class NotAppendable(RolloutError):
    """A line cannot be appended to a rollout."""

    def __init__(self, path: Path | None, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}" if path else reason)


class HistoryIncomplete(RolloutError):
    """Part of a thread's history is missing."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"the history of {path.name} is incomplete: {reason}")


class HistoryUnknown(RolloutError):
    """A thread has a history mode that this version does not know."""

    def __init__(self, path: Path, mode: object) -> None:
        self.path = path
        self.mode = mode
        super().__init__(f"{path.name} has the unknown history mode {mode!r}")


class TurnNotFound(RolloutError):
    """A thread has no turn with this id, only those of ``turn_ids``; ``last`` has the numbers and
    titles of some, for people."""

    def __init__(
        self, turn_id: str, turn_ids: Sequence[str], last: Sequence[tuple[int, str]] = ()
    ) -> None:
        self.turn_id, self.turn_ids = turn_id, turn_ids
        named = [f"{number} {title!r}" if title else f"{number}" for number, title in last]
        some = ", ".join(named or turn_ids[-_SHOWN_TURNS:])
        of_them = f"the last of its {len(turn_ids)} turns" if len(turn_ids) > 1 else "its only turn"
        there = f"{of_them}: {some}" if turn_ids else "it has no turns"
        super().__init__(f"the thread has no turn {turn_id!r} ({there})")


class AmbiguousTurn(RolloutError):
    """The ids of ``count`` turns of a thread begin with ``turn_id``."""

    def __init__(self, turn_id: str, count: int) -> None:
        self.turn_id, self.count = turn_id, count
        super().__init__(
            f"turn {turn_id!r} is ambiguous: {count:,} turns have ids that begin with it"
        )


class TurnUnfinished(RolloutError):
    """A fork cannot end with a turn that has not ended."""

    def __init__(self, turn_id: str) -> None:
        self.turn_id = turn_id
        super().__init__(f"turn {turn_id} has not ended")


class WriterActive(RolloutError):
    """Another writer has the thread open."""

    def __init__(self, thread_id: str, holder: str | None) -> None:
        self.thread_id = thread_id
        self.holder = holder
        """``pid 4711 (command)``; None where that is not known."""
        by = f": {holder}" if holder else ""
        super().__init__(f"thread {thread_id} already has an active writer{by}")


READ_ALL: Final[ContextVar[bool]] = ContextVar("READ_ALL", default=False)
"""Whether compressed rollouts are read to their end, however far they expand."""


@contextmanager
def without_expansion_limit(wanted: bool) -> Iterator[None]:
    """If ``wanted``, read compressed rollouts to their end inside the ``with``."""
    before = READ_ALL.set(wanted)
    try:
        yield
    finally:
        READ_ALL.reset(before)


class Damage(NamedTuple):
    """Where the content of a compressed rollout breaks off: nothing after it can be read."""

    path: Path
    offset: int
    """How much content came before it, in bytes."""
    reason: str
    endless: bool = False
    """Whether it only expands too far: :func:`without_expansion_limit` reads on."""
