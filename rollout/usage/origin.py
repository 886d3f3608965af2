"""Which lines of a file are another thread's: those that a fork or a subagent began with."""

from operator import attrgetter
from typing import Any, Final

from rollout.files.layout import parse_uuid

_PAUSE_MS: Final = 20
"""Lines that are copied have the time of the copy, one just after another. The first turn of the
thread itself begins later than this after the last of them."""
ANSWER_MS: Final = 1000
"""A model takes longer than this to answer, and copying a turn does not."""
_STATE: Final = (
    *("thread_id", "based", "copying", "copied"),
    *("_created_ms", "_start_ordinal", "_last_ms", "_old_turn"),
)
"""What a later pass needs, in the order in which it is stored."""
_state_of: Final = attrgetter(*_STATE)


class Origin:
    """Tells the lines of one file that came from another thread, line by line."""

    def __init__(self, state: list[Any] | None = None) -> None:
        self.thread_id: str | None = None
        self.based: bool = False
        """Whether the history begins in another file, so that counters may go on from there."""
        self.copying: bool = False
        """Whether the lines are copies at present."""
        self.copied: bool = False
        """Whether some were."""
        self._created_ms = 0
        self._start_ordinal: int | None = None
        self._last_ms = 0  # of the latest copied line
        self._old_turn = False  # whether the copied turn has an id, which tells its time
        if state:
            for name, value in zip(_STATE, state, strict=True):
                setattr(self, name, value)

    def state(self) -> list[Any]:
        """What a later pass continues from."""
        return [*_state_of(self)]

    def session(self, meta: dict[str, Any], at_ms: int | None) -> bool:
        """Take a ``session_meta``; False if it is another thread's."""
        found = parse_uuid(meta.get("id"))
        if self.thread_id is None:
            if found is None:
                return True
            self.thread_id = found
            self._created_ms = self._last_ms = at_ms or 0
            self.based = isinstance(meta.get("history_base"), dict)
            self.copying = parse_uuid(meta.get("forked_from_id")) is not None and not self.based
            start = meta.get("subagent_history_start_ordinal")
            if type(start) is int and start > 0:
                self._start_ordinal, self.copying = start, True
            return True
        if found is None or found == self.thread_id:
            return True
        self.copying = self.copying or not self.copied  # a copy comes first
        return False

    def turn(self, turn_id: object, at_ms: int | None) -> None:
        """A turn begins, or what it is asked with is told."""
        if not self.copying or self._start_ordinal is not None:
            return
        found = parse_uuid(turn_id)
        pauses = self._pauses(at_ms, ANSWER_MS if self._old_turn else _PAUSE_MS)
        if found is not None and found[14] == "7":
            self._old_turn = self._is_older(found)
            if not self._old_turn:
                self._end()
        elif pauses and (turn_id or not self._old_turn):
            self._end()

    def is_copy(self, ordinal: object, at_ms: int | None) -> bool:
        """Whether a line that tells counts is a copy."""
        if not self.copying:
            return False
        if self._start_ordinal is not None:
            if type(ordinal) is int and ordinal >= self._start_ordinal:
                self._end()
        elif not self._old_turn and self._pauses(at_ms, ANSWER_MS):
            self._end()
        return self.copying

    def own(self) -> None:
        """A line names this thread: no copies follow."""
        if self.copying:
            self._end()

    def _end(self) -> None:
        self.copying, self.copied = False, True

    def _is_older(self, turn_id: str) -> bool:
        own = self.thread_id or ""
        if own[14:15] == "7":
            return turn_id < own
        return int(turn_id[:8] + turn_id[9:13], 16) < self._created_ms

    def _pauses(self, at_ms: int | None, pause_ms: int) -> bool:
        """Whether there was a pause before a line. Copies that kept their time are older than the
        file."""
        if at_ms is None or at_ms < self._created_ms:
            return False
        before, self._last_ms = self._last_ms, max(self._last_ms, at_ms)
        return at_ms - before >= pause_ms
