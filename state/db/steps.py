"""Reads as generators of SQL statements, run over any connection."""

import sqlite3
from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from rollout.files.cancellation import check_cancelled

Result = TypeVar("Result")


Steps = Generator[tuple[str, Sequence[Any]], list[Any], Result]


def run_steps(steps: "Steps[Result]", connection: sqlite3.Connection) -> Result:
    """Drive ``steps`` to their end over a plain SQLite connection."""
    try:
        request = next(steps)
        while True:
            check_cancelled()
            request = steps.send(connection.execute(*request).fetchall())
    except StopIteration as done:
        result: Result = done.value
        return result
