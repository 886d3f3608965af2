"""SQL for many values at once, made once, and for the metadata of the index."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, Final

import orjson

from state.db.location import INPUTS_KEY

AMONG: Final = "IN (SELECT value FROM json_each(?))"
"""One parameter for any number of values, see :func:`listed`: SQLite takes few."""
_SET_META: Final = (
    "INSERT INTO index_meta (key, value) VALUES (?, ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


def listed(values: Iterable[str | int]) -> str:
    """Values as the parameter of :data:`AMONG`."""
    return orjson.dumps(list(values)).decode()


def dicts(found: sqlite3.Cursor) -> list[dict[str, Any]]:
    """Rows by the names of their columns."""
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def set_meta(connection: sqlite3.Connection, values: Mapping[str, str]) -> None:
    """Store values about the index as a whole, by their keys."""
    connection.executemany(_SET_META, values.items())


def meta(connection: sqlite3.Connection, key: str) -> str | None:
    """A value about the index as a whole."""
    row = connection.execute("SELECT value FROM index_meta WHERE key = ?", [key]).fetchone()
    return None if row is None else row[0]


def forget_inputs(connection: sqlite3.Connection) -> None:
    """Make the next sync read names and the default provider again."""
    connection.execute("DELETE FROM index_meta WHERE key = ?", [INPUTS_KEY])


class Put:
    """Inserts rows into a table with all columns but generated ones, or updates those that have
    their ``key``, or their primary key: all of these columns but ``kept`` ones, if ``where`` holds.
    ``new`` columns are not inserted, and get these values in an update."""

    def __init__(self, table: str, *kept: str, key: str = "", where: str = "", **new: str) -> None:
        self._table, self._kept, self._key, self._where, self._new = table, kept, key, where, new
        self._sql = ""
        self._pick: Callable[[Mapping[str, Any]], tuple[Any, ...]]

    def rows(self, connection: sqlite3.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Put these rows. Their values are numbers, texts and bytes."""
        if not self._sql:
            self._make(connection)
        connection.executemany(self._sql, map(self._pick, rows))

    def _make(self, connection: sqlite3.Connection) -> None:
        # Asked of the index, as to load SQLAlchemy for it takes longer than most commands.
        columns = connection.execute(f"PRAGMA table_xinfo({self._table})").fetchall()
        if not columns:
            connection.execute(f"SELECT 1 FROM {self._table}")  # which says that there is none
        given = [name for _, name, *_, hidden in columns if not hidden and name not in self._new]
        keys = [self._key] if self._key else [row[1] for row in columns if row[5]]
        fixed = {*keys, *self._kept}
        values = {name: f"excluded.{name}" for name in given if name not in fixed} | self._new
        updated = ", ".join(f"{name} = {value}" for name, value in values.items())
        condition = self._where and f" WHERE {self._where}"
        self._pick = itemgetter(*given)
        self._sql = (
            f"INSERT INTO {self._table} ({', '.join(given)})"
            f" VALUES ({', '.join('?' * len(given))})"
            f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updated}{condition}"
        )
