"""What users have put on threads: tags, a pin, a note, a status; and which threads have it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from state.db.steps import MalformedRow, Steps
from state.query.choices import MOST_RARE
from state.query.model import Query
from state.userdata.marks import NOTE, PINNED, STATUS, TAG

TAG_RANGE: Final = "(key >= 'tag:' AND key < 'tag;')"  # ; is what follows : in Unicode
"""The keys of all tags."""
_MARKS: Final = (
    "SELECT thread_id, key, value FROM user_data"
    f" WHERE thread_id IN (SELECT value FROM json_each(?)) AND (key IN ('{PINNED}', '{NOTE}',"
    f" '{STATUS}') OR {TAG_RANGE}) AND value IS NOT NULL ORDER BY thread_id, key"
)
# Of the threads that the index has: those that were deleted keep what was set in the journal.
_TAG_COUNTS: Final = (
    "SELECT substr(key, 5), count(*) FROM user_data u CROSS JOIN threads t ON t.id = u.thread_id"
    f" WHERE {TAG_RANGE} AND value IS NOT NULL GROUP BY key ORDER BY key"
)


class Marks(NamedTuple):
    """What users have put on a thread."""

    tags: tuple[str, ...] = ()
    """In order of text."""
    pinned: bool = False
    note: str = ""
    status: str = ""


NO_MARKS: Final = Marks()


def marks_steps(ids: Sequence[str]) -> Steps[dict[str, Marks]]:
    """The marks of the threads with some ids that have any, by id."""
    found: dict[str, Marks] = {}
    for id_, key, value in (yield _MARKS, [json.dumps(ids)]):
        if not (isinstance(key, str) and isinstance(value, str)):
            raise MalformedRow("a row of user data")
        found[id_] = with_mark(found.get(id_, NO_MARKS), key, value)
    return found


def with_mark(marks: Marks, key: str, value: str | None) -> Marks:
    """``marks`` after a value of user data is set, or by None taken back. Others change nothing."""
    if key.startswith(TAG):
        others = {*marks.tags} - {key.removeprefix(TAG)}
        added = [] if value is None else [key.removeprefix(TAG)]
        return marks._replace(tags=tuple(sorted([*others, *added])))
    if key == PINNED:
        return marks._replace(pinned=value is not None)
    if key == NOTE:
        return marks._replace(note=value or "")
    return marks._replace(status=value or "") if key == STATUS else marks


def tag_counts_steps() -> Steps[dict[str, int]]:
    """How many threads have each tag, by tag."""
    return dict((yield _TAG_COUNTS, []))


def mark_conditions(query: Query, *, by_row: bool) -> Iterator[tuple[str, list[Any]]]:
    """Conditions in SQL on rows of threads that the marks of ``query`` make, with their parameters.
    If not ``by_row``, the threads of the first one are looked up by an index."""
    for number, (having, parameters) in enumerate(_having(query)):
        if by_row or number:
            yield f"EXISTS (SELECT 1 FROM user_data WHERE thread_id = id AND {having})", parameters
        else:
            yield f"id IN (SELECT thread_id FROM user_data WHERE {having})", parameters
    if query.pinned is False:
        having = f"key = '{PINNED}' AND value IS NOT NULL"
        yield f"NOT EXISTS (SELECT 1 FROM user_data WHERE thread_id = id AND {having})", []


def rare_mark_steps(query: Query) -> Steps[list[int] | None]:
    """The rows that one of the marks of ``query`` leaves, that with the fewest; None if each leaves
    many, or there is none."""
    fewest: list[str] | None = None
    for having, parameters in _having(query):
        asked = f"SELECT thread_id FROM user_data WHERE {having} LIMIT ?"
        ids = [id_ for (id_,) in (yield asked, [*parameters, MOST_RARE + 1])]
        if len(ids) <= MOST_RARE and (fewest is None or len(ids) < len(fewest)):
            fewest = ids
    if fewest is None:
        return None
    asked = "SELECT row_id FROM threads WHERE id IN (SELECT value FROM json_each(?))"
    return [row_id for (row_id,) in (yield asked, [json.dumps(fewest)])]


def _having(query: Query) -> Iterator[tuple[str, list[Any]]]:
    """Conditions on user data that a thread has what ``query`` asks for."""
    for tag in query.tags:
        yield "key = ? AND value IS NOT NULL", [TAG + tag]
    if query.pinned:
        yield f"key = '{PINNED}' AND value IS NOT NULL", []
    if query.statuses:
        placeholders = ", ".join("?" * len(query.statuses))
        having = f"key = '{STATUS}' AND value IS NOT NULL AND value IN ({placeholders})"
        yield having, [*query.statuses]
