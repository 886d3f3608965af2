"""Copies of an index in a fleet, put there as they are: what reads them does not need a push."""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psycopg

from state.fleet.push.text import TextContent
from state.fleet.server.connect import connected
from state.fleet.server.schema import LIMITS, THREADS, USAGE
from state.thread_index import ThreadIndex
from tests.support.postgres.cluster import Fleet


def put_index(fleet: Fleet, machine: str, index: Path, *, tenant: str = "default") -> None:
    """Put what an index has into a fleet, as the copies of a machine that is there already."""
    with (
        closing(sqlite3.connect(index)) as local,
        fleet.administered() as admin,
    ):
        found = admin.execute(
            "SELECT m.tenant_id, m.machine_id FROM threadkeep.machines m"
            " JOIN threadkeep.tenants t USING (tenant_id) WHERE m.name = %s AND t.name = %s",
            [machine, tenant],
        ).fetchone()
        assert found is not None
        own = tuple(found)
        columns = ", ".join(THREADS)
        threads = local.execute(
            f"SELECT {columns}, (SELECT parent_thread_id FROM thread_spawn_edges e"
            " WHERE e.child_thread_id = id) FROM threads"
        )
        names = ("tenant_id", "machine_id", "epoch", "revision", "level")
        _put(
            admin,
            "threads",
            (*names, *THREADS, "spawned_by"),
            ((*own, 1, 1, "metadata", *row) for row in threads),
        )
        admin.execute(
            "SELECT threadkeep.choose_newest(tenant_id, array_agg(id)) FROM threadkeep.threads"
            " WHERE tenant_id = %s AND machine_id = %s GROUP BY tenant_id",
            own,
        )
        numbered = admin.execute(
            "SELECT id, row_id FROM threadkeep.threads WHERE tenant_id = %s AND machine_id = %s",
            own,
        )
        rows: dict[str, int] = dict(numbered.fetchall())
        marks = local.execute("SELECT thread_id, key, value, set_at_ms FROM user_data").fetchall()
        _put(
            admin,
            "user_data",
            ("tenant_id", "machine_id", "thread_id", "key", "value", "set_at_ms"),
            ((*own, *row) for row in marks if row[0] in rows),
        )
        for table, of in (("thread_usage", USAGE), ("thread_limits", LIMITS)):
            used = local.execute(
                f"SELECT t.id, {', '.join(f'u.{name}' for name in of)} FROM {table} u"
                " JOIN threads t USING (row_id)"
            )
            _put(
                admin,
                table,
                ("tenant_id", "machine_id", "row_id", *of),
                ((*own, rows[row[0]], *row[1:]) for row in used),
            )


def _put(
    admin: "psycopg.Connection[Any]",
    table: str,
    columns: Iterable[str],
    rows: Iterable[tuple[Any, ...]],
) -> None:
    with (
        admin.cursor() as cursor,
        cursor.copy(f"COPY threadkeep.{table} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row([_storable(value) for value in row])


def _storable(value: Any) -> Any:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Copy:
    """A thread that is pushed."""

    id: str
    row_id: int
    month: date


async def put_messages(
    fleet: Fleet,
    machine: str,
    address: str,
    index: ThreadIndex,
    redact: Callable[[str], str] = str,
) -> list[Copy]:
    """Send the messages of the threads that a fleet has of a machine, as this machine."""
    with fleet.administered() as admin:
        found = admin.execute(
            "SELECT id, row_id, threadkeep.month_of(created_at_ms) FROM threadkeep.threads t"
            " JOIN threadkeep.machines m USING (tenant_id, machine_id) WHERE m.name = %s",
            [machine],
        ).fetchall()
    copies = [Copy(*row) for row in found]
    content = TextContent(index, redact)
    async with connected(address) as connection:
        await content.prepare(connection, copies)
        async with connection.transaction():
            await content.send(connection, copies)
    return copies
