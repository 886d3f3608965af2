"""What those have who attack a fleet: a login of their own, and a client for any SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import pytest

from state.fleet.push.rows import ROW, kinds_of
from state.fleet.server import schema
from tests.support.postgres.cluster import Fleet

SECRET: Final = "Project Nightingale"
"""What the threads of others are called."""
DENIED: Final = "42501"
"""The SQLSTATE of what is not allowed."""
NOT_THERE: Final = "42P01"
IDS: Final = {
    "victim": "00000000-0000-7000-8000-000000000001",
    "mallory": "00000000-0000-7000-8000-000000000002",
    "elsewhere": "00000000-0000-7000-8000-000000000003",
}
"""A thread of each machine."""


@dataclass(frozen=True, slots=True)
class Prey:
    """The fleet, and the addresses of its logins."""

    fleet: Fleet
    who: dict[str, tuple[int, int]]
    """The tenant and the machine of each of the three that have pushed."""
    victim: str
    """A machine of the tenant default."""
    mallory: str
    """Another one of it, which is hostile."""
    elsewhere: str
    """A machine of another tenant."""
    snoop: str
    """A hostile reader of the tenant default."""
    stranger: str
    """A hostile reader of the other tenant."""
    revoked: str
    """A machine of the tenant default that may read, until it was revoked; PostgreSQL still lets it
    in."""

    @classmethod
    def of(cls, fleet: Fleet) -> "Prey":
        made = cls(
            fleet,
            {},
            fleet.machine("victim", user="alice"),
            fleet.machine("mallory", user="mallory"),
            fleet.machine("elsewhere", tenant="other", user="bob"),
            fleet.reader("snoop"),
            fleet.reader("stranger", tenant="other"),
            fleet.machine("revoked", reads=True),
        )
        for name in IDS:
            with psycopg.connect(getattr(made, name)) as machine:
                made.who[name] = push(machine, IDS[name])
        with fleet.administered() as admin:
            admin.execute(
                "UPDATE threadkeep.logins SET revoked_at = now() WHERE role_name LIKE '%revoked'"
            )
        return made

    @property
    def readers(self) -> tuple[str, str]:
        return self.snoop, self.stranger

    def everything(self) -> dict[str, list[str]]:
        """All rows of all tables, and all roles and settings, as a superuser sees them."""
        with self.fleet.administered() as admin:
            tables = admin.execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p')"
                " AND NOT relispartition AND relnamespace = 'threadkeep'::regnamespace"
            ).fetchall()
            rows = " UNION ALL ".join(
                f"SELECT '{table}', t::text FROM {table} t" for (table,) in tables
            )
            found: dict[str, list[str]] = {}
            for table, row in admin.execute(f"{rows} ORDER BY 1, 2"):
                found.setdefault(table, []).append(row)
            found["roles"] = [
                row
                for (row,) in admin.execute(
                    "SELECT r::text FROM pg_authid r WHERE starts_with(rolname, %s)"
                    " OR starts_with(rolname, 'threadkeep') ORDER BY 1",
                    [f"{self.fleet.database}_"],
                )
            ]
            return found


def push(machine: "psycopg.Connection[Any]", thread_id: str) -> tuple[int, int]:
    """Put something into each table, as a machine does: whose it is."""
    who = machine.execute("SELECT threadkeep.my_tenant(), threadkeep.my_machine()").fetchone()
    assert who
    push_thread(machine, id=thread_id, title=SECRET, updated_at_ms=1)
    (row_id,) = machine.execute(
        "SELECT row_id FROM threadkeep.threads WHERE id = %s", [thread_id]
    ).fetchone() or (0,)
    insert(machine, "user_data", who, thread_id=thread_id, key="note", value=SECRET)
    for table in ("thread_usage", "thread_limits"):
        insert(machine, table, who, row_id=row_id)
    text = SECRET.lower()
    insert(machine, "documents", who, row_id=row_id, text=text, month="1970-01-01")
    insert(machine, "pieces", who, data=SECRET.encode())
    insert(machine, "rollouts", who, thread_id=thread_id, path=SECRET)
    machine.execute("UPDATE threadkeep.machines SET sequence = 7, epoch_key = 'key'")
    return who[0], who[1]


_VALUES: Final = {
    **{"text": "x", "bigint": 0, "integer": 0, "boolean": False, "bytea": b"x"},
    **{"date": "2026-11-01", "timestamp with time zone": "2026-11-01"},
}
_SPECIAL: Final = {
    "facet": "000|cli|x",
    "source_kind": "cli",
    "attached_thread_parent_id": None,
    "value": SECRET,
}
THREAD: Final = {
    name: _SPECIAL.get(name, "x" if kind == "text" else 0)
    for name, kind in zip(ROW, kinds_of(schema.threads, ROW), strict=True)
}
"""The row of a thread that is taken, but for its id."""


_columns: dict[str, list[tuple[str, str]]] = {}


def insert(machine: "psycopg.Connection[Any]", table: str, who: Any, **values: Any) -> None:
    """Put a row with these values, and others that are allowed, into a table."""
    if (columns := _columns.get(table)) is None:
        columns = _columns[table] = machine.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s"
            " AND table_schema = 'threadkeep'",
            [table],
        ).fetchall()
    row = {name: _SPECIAL.get(name, _VALUES[kind]) for name, kind in columns}
    row |= {"tenant_id": who[0], "machine_id": who[1], **values}
    holes = ", ".join(["%s"] * len(row))
    machine.execute(
        f"INSERT INTO threadkeep.{table} ({', '.join(row)}) VALUES ({holes})", [*row.values()]
    )


def push_thread(machine: "psycopg.Connection[Any]", **values: Any) -> list[tuple[Any, ...]]:
    """Put the row of a thread with these values, and others that are allowed: what comes back."""
    of_all = {name: values.pop(name) for name in ("epoch", "revision", "level") if name in values}
    return push_arrays(machine, **of_all, **{name: [v] for name, v in (THREAD | values).items()})


def push_arrays(
    machine: "psycopg.Connection[Any]",
    *,
    epoch: Any = 1,
    revision: Any = 1,
    level: Any = "metadata",
    gone: Any = (),
    **arrays: Any,
) -> list[tuple[Any, ...]]:
    """Call the function by which machines write threads, with these arrays and other empty ones."""
    given = [arrays.get(name, []) for name in ROW]
    columns = zip(ROW, kinds_of(schema.threads, ROW), strict=True)
    holes = ", ".join(f"new_{name} => %s::{kind}[]" for name, kind in columns)
    return machine.execute(
        "SELECT id, row_id, former_level, former_created_at_ms, is_gone"
        f" FROM threadkeep.push_threads(%s, %s, %s, %s::text[], {holes})",
        [epoch, revision, level, None if gone is None else [*gone], *given],
    ).fetchall()


def relations(fleet: Fleet, kinds: str, name: str = schema.NAME) -> list[str]:
    """The tables or views in a schema, with those that later migrations add."""
    with fleet.administered() as admin:
        return [
            row[0]
            for row in admin.execute(
                "SELECT format('%%I.%%I', nspname, relname) FROM pg_class c"
                " JOIN pg_namespace n ON n.oid = relnamespace"
                " WHERE nspname = %s AND relkind = ANY(%s) ORDER BY 1",
                [name, [*kinds]],
            )
        ]


def views(fleet: Fleet) -> list[str]:
    """All that readers have."""
    return relations(fleet, "v", schema.VIEWS) + relations(fleet, "v", schema.MACHINE_VIEWS)


def columns(fleet: Fleet, relation: str) -> set[str]:
    """The columns of a table or view."""
    with fleet.administered() as admin:
        return {
            name
            for (name,) in admin.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
                [relation],
            )
        }


def run(address: str, *statements: str) -> Sequence[tuple[Any, ...]]:
    """What the last of some statements gives."""
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def changed(address: str, statement: str) -> int:
    """How many rows a statement changes."""
    with psycopg.connect(address, autocommit=True) as connection:
        return connection.execute(statement).rowcount


def refused(address: str, *statements: str, states: Sequence[str] = (DENIED,)) -> str:
    """The message with which the last of some statements is refused."""
    *before, last = statements
    with psycopg.connect(address, autocommit=True) as connection:
        for statement in before:
            connection.execute(statement)
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(last)
    assert caught.value.sqlstate in states, (last, caught.value)
    return str(caught.value)
