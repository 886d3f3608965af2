"""SQL for many values at once, made once, and for the metadata of the index."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import orjson

from state.db.location import INPUTS_KEY

if TYPE_CHECKING:
    import sqlalchemy as sa

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


@dataclass(frozen=True, slots=True)
class Put:
    """A statement that puts rows into a table, and takes from each the values that it needs."""

    sql: str
    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]]

    def rows(self, connection: sqlite3.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Put these rows. Their values are numbers, texts and bytes."""
        connection.executemany(self.sql, map(self.pick, rows))


def put(table: "sa.Table", *kept: str, key: str = "", where: str = "", **new: str) -> Put:
    """Insert a row with all columns but generated ones, or update the one that has its ``key``, or
    its primary key: all of these columns but ``kept`` ones, if ``where`` holds. ``new`` columns are
    not inserted, and get these values in an update."""
    given = [
        column.name for column in table.c if column.computed is None and column.name not in new
    ]
    keys = [key] if key else [column.name for column in table.primary_key]
    values = {name: f"excluded.{name}" for name in given if name not in {*keys, *kept}} | new
    updated = ", ".join(f"{name} = {value}" for name, value in values.items())
    sql = (
        f"INSERT INTO {table.name} ({', '.join(given)}) VALUES ({', '.join('?' * len(given))})"
        f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updated}{where and f' WHERE {where}'}"
    )
    return Put(sql, itemgetter(*given))
