"""Monthly partitions of what takes most room: the months are those in which threads were created.

The default partition takes the rows of months that have none, so that no push fails for one.
"""

import datetime
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg import sql

from state.fleet.server import schema
from state.fleet.server.connect import administrator, transaction

if TYPE_CHECKING:
    import psycopg

PARTITIONED: Final = ("documents", "pieces")
MONTHS_BACK: Final = 12
MONTHS_AHEAD: Final = 3
_OLDEST: Final = datetime.date(2025, 1, 1)
"""Codex is from 2025: what claims to be older stays in the default partition."""


class Partition(NamedTuple):
    """A partition for the threads of one month."""

    table: str
    """Of which it is a partition."""
    month: datetime.date

    @property
    def name(self) -> str:
        """Its name, in the schema of the tables."""
        return f"{self.table}_{self.month:%Y_%m}"

    @property
    def until(self) -> datetime.date:
        """The first day of the next month."""
        return following(self.month)


def following(month: datetime.date, count: int = 1) -> datetime.date:
    """The first day of the month that comes ``count`` months later."""
    months = month.year * 12 + month.month - 1 + count
    return datetime.date(months // 12, months % 12 + 1, 1)


def partitions(connection: "psycopg.Connection[Any]") -> list[Partition]:
    """The monthly partitions, by table and month."""
    found = []
    for table, name in connection.execute(_PARTITIONS, [list(PARTITIONED)]):
        month = re.fullmatch(rf"{table}_(\d{{4}})_(\d\d)", name)
        if month:
            found.append(Partition(table, datetime.date(int(month[1]), int(month[2]), 1)))
    return sorted(found)


def create_months(
    connection: "psycopg.Connection[Any]",
    today: datetime.date,
    since: datetime.date | None = None,
) -> list[Partition]:
    """Create the partitions that are lacking: see :func:`lacking_months`. Pushes wait for each."""
    lacking = lacking_months(connection, today, since)
    for partition in lacking:
        _create(connection, partition)
    return lacking


def create_usual_months(address: str) -> list[Partition]:
    """:func:`create_months` of today, as an administrator. Raises what
    :func:`state.fleet.server.connect.administering` raises."""
    with administrator(address) as connection:
        return create_months(connection, datetime.datetime.now(datetime.UTC).date())


def lacking_months(
    connection: "psycopg.Connection[Any]",
    today: datetime.date,
    since: datetime.date | None = None,
) -> list[Partition]:
    """The partitions that are not there, and should be: from ``since``, by default a year ago, to
    some months ahead, and for the months that the default partition has rows of."""
    known = set(partitions(connection))
    first = max(since or _OLDEST, following(today, -MONTHS_BACK)).replace(day=1)
    ahead = following(today, MONTHS_AHEAD)
    found = []
    for table in PARTITIONED:
        months = [
            month for month in _months(_OLDEST, ahead) if Partition(table, month) not in known
        ]
        earlier = [month for month in months if month < first]
        with_rows = _months_of_rows(connection, table, earlier) if earlier else set()
        found += [
            Partition(table, month) for month in months if month >= first or month in with_rows
        ]
    return found


def _months(first: datetime.date, last: datetime.date) -> Iterator[datetime.date]:
    while first <= last:
        yield first
        first = following(first)


def _months_of_rows(
    connection: "psycopg.Connection[Any]", table: str, months: list[datetime.date]
) -> set[datetime.date]:
    """Those of ``months``, which have no partition, that there are rows of."""
    with transaction(connection, schema.ADMIN):
        query = sql.SQL("SELECT DISTINCT month FROM {} WHERE month = ANY(%s)").format(_named(table))
        return {month for (month,) in connection.execute(query, [months])}


def _create(connection: "psycopg.Connection[Any]", partition: Partition) -> None:
    """Create a partition, and move into it what the default one has of its month."""
    names = {
        "made": _named(partition.name),
        "table": _named(partition.table),
        "other": _named(f"{partition.table}_other"),
        "admin": sql.Identifier(schema.ADMIN),
        "since": sql.Literal(partition.month),
        "until": sql.Literal(partition.until),
    }
    with transaction(connection, schema.OWNER):
        for statement in _CREATE:
            connection.execute(sql.SQL(statement).format(**names))
        connection.execute(f"SET LOCAL ROLE {schema.ADMIN}")
        connection.execute(sql.SQL(_MOVE).format(**names))
        connection.execute(f"SET LOCAL ROLE {schema.OWNER}")
        for statement in _ATTACH:
            connection.execute(sql.SQL(statement).format(**names))


def _named(table: str) -> sql.Identifier:
    return sql.Identifier(schema.NAME, table)


_PARTITIONS: Final = """
    SELECT parent.relname, c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    JOIN pg_class parent ON parent.oid = i.inhparent
    WHERE c.relnamespace = 'threadkeep'::regnamespace AND c.relkind = 'r'
    AND parent.relname = ANY(%s)
"""
# No row may come into the default partition between the move and the end.
_CREATE: Final = (
    "LOCK TABLE {other} IN SHARE ROW EXCLUSIVE MODE",
    "CREATE TABLE {made} (LIKE {table} INCLUDING STORAGE INCLUDING CONSTRAINTS)",
    "GRANT INSERT ON {made} TO {admin}",
)
_MOVE: Final = """
    WITH moved AS (DELETE FROM {table} WHERE month >= {since} AND month < {until} RETURNING *)
    INSERT INTO {made} SELECT * FROM moved
"""
# Without policies, nobody sees anything in it but through the table.
_ATTACH: Final = (
    "REVOKE INSERT ON {made} FROM {admin}",
    "ALTER TABLE {table} ATTACH PARTITION {made} FOR VALUES FROM ({since}) TO ({until})",
    "ALTER TABLE {made} ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE {made} FORCE ROW LEVEL SECURITY",
    "SELECT threadkeep.without_statistics()",
)
