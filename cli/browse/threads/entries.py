"""Threads of the list as the index has them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from state.db.steps import Steps
from state.query.listing import key_steps
from state.query.marks import NO_MARKS, Marks, marks_steps
from state.query.model import Query
from state.query.rows import Row, row_ids_steps, rows_steps

MOST_PINNED: Final = 500


class Entry(NamedTuple):
    """A thread of the list."""

    row: Row
    marks: Marks = NO_MARKS


def entry_steps(row_ids: Sequence[int]) -> "Steps[dict[int, Entry]]":
    """Threads by their row ids."""
    rows = yield from rows_steps(row_ids, "row_id")
    places = yield from row_ids_steps([*rows])
    marks = yield from marks_steps([*rows])
    return {
        places[id_]: Entry(row, marks.get(id_, NO_MARKS))
        for id_, row in rows.items()
        if id_ in places
    }


def pinned_steps(query: Query) -> "Steps[list[int]]":
    """The row ids of the pinned threads of a list."""
    if query.pinned is not None:
        return []
    keys = yield from key_steps(replace(query, pinned=True), None, MOST_PINNED)
    return [row_id for _, _, row_id in keys]
