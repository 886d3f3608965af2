"""The outlines of turns in the index, and those that are known of a thread."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from rollout.history.turn_outline import TurnOutline, UsageMark
from state.db.steps import Steps

_INSERT: Final = (
    "INSERT INTO turn_outlines (thread_id, position, digest, prompt, files, failures, tokens)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_LOAD: Final = (
    "SELECT position, digest, prompt, files, failures, tokens FROM turn_outlines"
    " WHERE thread_id = ? ORDER BY position"
)
_LOAD_MARK: Final = "SELECT outlines FROM turn_checkpoints WHERE thread_id = ?"


class OutlineRow(NamedTuple):
    """The outline of a turn, as :meth:`rollout.history.turn_outline.TurnOutline.dump` gives it."""

    digest: int
    prompt: str
    files: str | None
    failures: str | None
    tokens: int | None

    def outline(self) -> TurnOutline:
        """Raises ValueError or TypeError if it is not as it was written."""
        if not (
            type(self.prompt) is str
            and isinstance(self.files, str | None)
            and isinstance(self.failures, str | None)
            and isinstance(self.tokens, int | None)
        ):
            raise TypeError("a value is of the wrong type")
        return TurnOutline.load(*self[1:])


@dataclass(eq=False)
class KnownOutlines:
    """The outlines that are known of a thread."""

    rows: dict[int, OutlineRow] = field(default_factory=dict)
    """By the places of the turns. Of a turn that has another digest by now it is out of date."""
    mark: UsageMark | None = None
    """Where the next pass goes on counting tokens."""
    covered_bytes: int = 0
    """How many bytes of all files had been read when the outlines of all turns were known."""
    stored_bytes: int = 0
    """The same of those that are stored."""

    def copy(self) -> "KnownOutlines":
        return replace(self, rows=dict(self.rows))

    def take(self, other: "KnownOutlines") -> None:
        """Know what a copy has found meanwhile."""
        self.rows |= other.rows
        self.mark = other.mark
        self.covered_bytes = max(self.covered_bytes, other.covered_bytes)


def insert_outlines(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Store what :func:`state.turns.outlines.rows_of` gave, with the checkpoint of the turns."""
    connection.executemany(_INSERT, rows)


def outlines_steps(thread_id: str, turns: int, read_bytes: int) -> Steps[KnownOutlines]:
    """The outlines that are stored with a checkpoint of so many turns."""
    rows = yield _LOAD, [thread_id]
    marks = yield _LOAD_MARK, [thread_id]
    found = KnownOutlines({at: OutlineRow(*row) for at, *row in rows})
    if not marks or not all(map(_is_fit, found.rows.values())):
        return KnownOutlines()
    # The last one is not stored while the file ends within a line.
    if marks[0][0] is not None and len(found.rows) >= turns - 1:
        try:
            mark = json.loads(marks[0][0])
            found.mark = None if mark is None else UsageMark(*mark)
        except (TypeError, ValueError):
            return KnownOutlines()
        found.covered_bytes = found.stored_bytes = read_bytes
    return found


def _is_fit(row: OutlineRow) -> bool:
    """Whether a row can have been written here."""
    try:
        row.outline()
    except (TypeError, ValueError):
        return False
    return type(row.digest) is int


def stored_outlines(connection: sqlite3.Connection, thread_id: str) -> dict[int, OutlineRow]:
    """The outlines that are stored of a thread, by the places of its turns."""
    return {at: OutlineRow(*row) for at, *row in connection.execute(_LOAD, [thread_id])}
