"""What users have put on threads: tags, a pin, a note, a status."""

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from state.db.steps import MalformedRow, Steps
from state.userdata.marks import NOTE, PINNED, STATUS, TAG

_TAG_RANGE: Final = "(key >= 'tag:' AND key < 'tag;')"  # ; is what follows : in Unicode
"""The keys of all tags."""
_MARKS: Final = (
    "SELECT thread_id, key, value FROM user_data"
    f" WHERE thread_id IN (SELECT value FROM json_each(?)) AND (key IN ('{PINNED}', '{NOTE}',"
    f" '{STATUS}') OR {_TAG_RANGE}) AND value IS NOT NULL ORDER BY thread_id, key"
)
# Of the threads that the index has: those that were deleted keep what was set in the journal.
_TAG_COUNTS: Final = (
    "SELECT substr(key, 5), count(*) FROM user_data u CROSS JOIN threads t ON t.id = u.thread_id"
    f" WHERE {_TAG_RANGE} AND value IS NOT NULL GROUP BY key ORDER BY key"
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


def tagged_steps(tag: str) -> Steps[list[str]]:
    """The ids that have a tag, also of threads that the index does not have."""
    asked = "SELECT thread_id FROM user_data WHERE key = ? AND value IS NOT NULL ORDER BY thread_id"
    return [id_ for (id_,) in (yield asked, [TAG + tag])]


def tag_counts_steps() -> Steps[dict[str, int]]:
    """How many threads have each tag, by tag."""
    return dict((yield _TAG_COUNTS, []))
