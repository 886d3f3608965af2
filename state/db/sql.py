"""SQL for many values at once, and for the metadata of the index."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from state.db.location import INPUTS_KEY
from state.db.schema import index_meta


async def set_meta(connection: AsyncConnection, values: Mapping[str, str]) -> None:
    """Store values about the index as a whole, by their keys."""
    entry = insert(index_meta)
    await connection.execute(
        entry.on_conflict_do_update(
            index_elements=[index_meta.c.key], set_={"value": entry.excluded.value}
        ),
        [{"key": key, "value": value} for key, value in values.items()],
    )


async def forget_inputs(connection: AsyncConnection) -> None:
    """Make the next sync read names and the default provider again."""
    await connection.execute(sa.delete(index_meta).where(index_meta.c.key == INPUTS_KEY))


async def execute_many(
    connection: AsyncConnection, statement: Insert, values: Sequence[Mapping[str, Any]]
) -> None:
    """Run ``statement`` for each of ``values``, at a third of the cost of ``execute`` (measured).
    Values must be numbers or texts, which need no conversion."""
    sql, names = _compiled(statement)
    pick = itemgetter(*names)
    await connection.exec_driver_sql(sql, [pick(value) for value in values])


def upsert_statement(
    table: sa.Table, *kept: str, key: "sa.Column[Any] | None" = None, **new: "sa.ColumnElement[Any]"
) -> Insert:
    """Insert a row with all columns but generated ones, or update the one that has its ``key``, or
    its primary key: all of these columns but ``kept`` ones. ``new`` columns are not inserted, and
    get these values in an update."""
    given = [
        column.name for column in table.c if column.computed is None and column.name not in new
    ]
    entry = insert(table).values(dict.fromkeys(given))
    keys = [*table.primary_key] if key is None else [key]
    fixed = {*kept, *(column.name for column in keys)}
    values = {name: entry.excluded[name] for name in given if name not in fixed}
    return entry.on_conflict_do_update(index_elements=keys, set_=values | new)


@cache
def _compiled(statement: Insert) -> tuple[str, tuple[str, ...]]:
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
    return str(compiled), tuple(compiled.positiontup or ())


def among(column: "sa.ColumnElement[Any]", values: Iterable[str | int]) -> "sa.ColumnElement[bool]":
    """``column IN values`` with one parameter for any number of values: SQLite takes few, and
    SQLAlchemy needs a millisecond to write out two hundred (measured)."""
    listed = sa.func.json_each(orjson.dumps(list(values)).decode()).table_valued("value")
    return column.in_(sa.select(listed.c.value))
