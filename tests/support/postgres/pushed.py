"""What indexes and fleets hold of threads, in one form."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from state.fleet.server import schema
from tests.support.postgres.cluster import Fleet

Held = dict[str, list[tuple[Any, ...]]]
_THREAD = ", ".join(f"t.{name}" for name in schema.THREADS)
_SQL = {
    "threads": f"SELECT {_THREAD}, {{parent}} FROM {{threads}}",
    "user_data": f"SELECT {', '.join(f'u.{name}' for name in schema.USER_DATA)}"
    " FROM {user_data} u JOIN {threads} ON u.thread_id = t.id",
    **{
        table: f"SELECT t.id, {', '.join(f'u.{name}' for name in names)}"
        f" FROM {table} u JOIN {{threads}} ON u.row_id = t.row_id"
        for table, names in (("thread_usage", schema.USAGE), ("thread_limits", schema.LIMITS))
    },
}
_PARENT = "(SELECT parent_thread_id FROM thread_spawn_edges WHERE child_thread_id = t.id)"


def kept(index: Path) -> Held:
    """What an index has of all its threads."""
    with closing(sqlite3.connect(index)) as connection:
        return _sorted(connection.execute, _PARENT, "threads t", "user_data")


def held(fleet: Fleet, machine: str) -> Held:
    """What a fleet has of the threads of a machine."""
    with fleet.administered() as connection:
        connection.execute("SET LOCAL search_path = threadkeep")
        whose = connection.execute(
            "SELECT format('tenant_id = %%s AND machine_id = %%s', tenant_id, machine_id)"
            " FROM machines WHERE name = %s",
            [machine],
        ).fetchone()
        assert whose is not None
        threads, user_data = (
            f"(SELECT * FROM {table} WHERE {whose[0]}{which})"
            for table, which in (("threads", " AND NOT deleted"), ("user_data", ""))
        )
        return _sorted(connection.execute, "t.spawned_by", f"{threads} t", user_data)


def _sorted(execute: Callable[[str], Any], parent: str, threads: str, user_data: str) -> Held:
    found = {}
    for table, sql in _SQL.items():
        rows = execute(sql.format(parent=parent, threads=threads, user_data=user_data))
        found[table] = sorted(map(tuple, rows.fetchall()), key=repr)
    return found
