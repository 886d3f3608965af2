"""Reads as generators that yield ``(sql, parameters)`` and are sent the rows: they know no
connection, so that a command, a reader thread and the event loop run the same ones."""

import sqlite3
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, TypeVar

from rollout.files.cancellation import check_cancelled

Result = TypeVar("Result")


class MalformedRow(sqlite3.DatabaseError):
    """A row of the index is not as it was written, though SQLite finds it sound. It becomes
    :class:`state.errors.IndexDamaged` where SQLite's own errors do."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is malformed")


Steps = Generator[tuple[str, Sequence[Any]], list[Any], Result]


def select_steps(sql: str, parameters: Sequence[Any] = ()) -> Steps[list[Any]]:
    """The rows of one statement."""
    return (yield sql, parameters)


LAST_TEXT: Final = "\U0010ffff"
"""Sorts after every text."""
_ALL: Final = 2**63 - 1
_HOPS: Final = (
    "WITH RECURSIVE hop(value) AS (SELECT min({0}) FROM threads WHERE {0} >= ? AND {0} < ?"
    " UNION ALL SELECT (SELECT min({0}) FROM threads WHERE {0} > value AND {0} < ?) FROM hop"
    " WHERE value IS NOT NULL) SELECT value FROM hop WHERE value IS NOT NULL LIMIT ?"
)


def different_steps(
    column: str, begin: str = "", end: str = LAST_TEXT, most: int = _ALL
) -> Steps[list[Any]]:
    """The different values of a column of ``threads`` from one text on and before another one, at
    most so many. It skips from one to the next by an index on the column."""
    return [value for (value,) in (yield _HOPS.format(column), [begin, end, end, most])]


OF_INDEXES: Final = "SELECT 1 FROM sqlite_schema"


def has_indexes_steps(*names: str) -> Steps[bool]:
    """Whether the index has all of these SQL indexes or tables: a first backfill makes some last,
    and a fleet has not all."""
    asked = f"{OF_INDEXES} WHERE name IN ({','.join('?' * len(names))})"
    return len((yield asked, names)) == len(names)


OF_ALL: Final = "SELECT 'of all'"


def of_all_steps() -> Steps[None]:
    """Say that what follows in this transaction counts most of what there is. SQLite need not know;
    a fleet's PostgreSQL then looks up no row by row, which a wrong estimate makes it do."""
    yield OF_ALL, []


def is_local_steps() -> Steps[bool]:
    """Whether the files of the threads are on this machine, and not on those of a fleet."""
    return (yield from has_indexes_steps("resume_points"))


Work = Callable[[sqlite3.Connection], Result]


def in_transaction(work: "Work[Result]", connection: sqlite3.Connection) -> Result:
    """What ``work`` gives, of one state of the database. The transaction ends even if it raises."""
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        connection.rollback()


def run_steps(steps: "Steps[Result]", connection: sqlite3.Connection) -> Result:
    """What ``steps`` give, over a plain SQLite connection. Raises Cancelled if nobody waits for it
    any more."""
    try:
        request = next(steps)
        while True:
            check_cancelled()
            request = steps.send(connection.execute(*request).fetchall())
    except StopIteration as done:
        result: Result = done.value
        return result
