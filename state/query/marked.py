"""Which threads have the tags, the pin and the status that a query asks for.

Where few have one of them, an index gives these; where many have it, the list is walked in its
order, with one look by the primary key of user data for each row.
"""

import json
from collections.abc import Iterator
from typing import Any

from state.db.steps import Steps
from state.query.choices import MOST_RARE
from state.query.model import Query
from state.userdata.marks import PINNED, STATUS, TAG


def mark_conditions(query: Query, *, by_row: bool) -> Iterator[tuple[str, list[Any]]]:
    """Conditions in SQL on rows of threads that the marks of ``query`` make, with their parameters.
    If not ``by_row``, the threads of the first one are looked up by an index."""
    for number, (having, parameters) in enumerate(wanted_marks(query)):
        if by_row or number:
            yield f"EXISTS (SELECT 1 FROM user_data WHERE thread_id = id AND {having})", parameters
        else:
            yield f"id IN (SELECT thread_id FROM user_data WHERE {having})", parameters
    if query.pinned is False:
        having = f"key = '{PINNED}' AND value IS NOT NULL"
        if by_row:
            yield f"NOT EXISTS (SELECT 1 FROM user_data WHERE thread_id = id AND {having})", []
        else:
            yield f"id NOT IN (SELECT thread_id FROM user_data WHERE {having})", []


def rare_mark_steps(query: Query) -> Steps[list[int] | None]:
    """The rows that one of the marks of ``query`` leaves, that with the fewest; None if each leaves
    many, or there is none."""
    fewest: list[str] | None = None
    for having, parameters in wanted_marks(query):
        asked = f"SELECT thread_id FROM user_data WHERE {having} LIMIT ?"
        ids = [id_ for (id_,) in (yield asked, [*parameters, MOST_RARE + 1])]
        if len(ids) <= MOST_RARE and (fewest is None or len(ids) < len(fewest)):
            fewest = ids
    if fewest is None:
        return None
    asked = "SELECT row_id FROM threads WHERE id IN (SELECT value FROM json_each(?))"
    return [row_id for (row_id,) in (yield asked, [json.dumps(fewest)])]


def wanted_marks(query: Query) -> Iterator[tuple[str, list[Any]]]:
    """Conditions on user data that a thread has what ``query`` asks for."""
    for tag in query.tags:
        yield "key = ? AND value IS NOT NULL", [TAG + tag]
    if query.pinned:
        yield f"key = '{PINNED}' AND value IS NOT NULL", []
    if query.statuses:
        placeholders = ", ".join("?" * len(query.statuses))
        having = f"key = '{STATUS}' AND value IS NOT NULL AND value IN ({placeholders})"
        yield having, [*query.statuses]
