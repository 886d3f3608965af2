"""Tables of a fleet's PostgreSQL, as far as programs name their columns.

The columns that the index of each machine has, too, are made from that index's; a test compares
what is declared here with what the migrations make.
"""

from typing import Final

import sqlalchemy as sa

from state.db import schema as local

HEAD: Final = "f0002"
"""The revision of the schema that this version of the program works with."""
NAME: Final = "threadkeep"
"""The schema of the tables."""
VIEWS: Final = "threadkeep_index"
"""The schema of the views that readers have: the newest copy of each thread."""
MACHINE_VIEWS: Final = "threadkeep_machine"
"""The same of the copies of one machine."""
MACHINE_SETTING: Final = "threadkeep.machine_id"
"""The setting that names this machine, in a transaction."""
OWNER: Final = "threadkeep_owner"
ADMIN: Final = "threadkeep_admin"
MACHINE: Final = "threadkeep_machine"
READER: Final = "threadkeep_reader"
ROLES: Final = (OWNER, ADMIN, MACHINE, READER)
MOST: Final = 10**15
"""The fleet takes no greater count of tokens, nor any that is below 0."""
METADATA: Final = "metadata"
"""The level of threads of which there are only rows."""

_OF_FILES: Final = frozenset(
    {"row_id", "inode", "extractor_version", "rollout_name", "rollout_name_ms", "next_ordinal"}
)
"""Columns that only the machine with the files needs."""
THREADS: Final = tuple(
    column.name
    for column in local.threads.columns
    if column.name not in _OF_FILES and column.computed is None
)
"""The columns of threads that a fleet has of each copy, in order."""
USAGE: Final = tuple(c.name for c in local.thread_usage.columns if c.name != "row_id")
LIMITS: Final = ("at_ms", "value")
USER_DATA: Final = tuple(column.name for column in local.user_data.columns)

metadata: Final = sa.MetaData(schema=NAME)


def _shared(table: sa.Table, names: tuple[str, ...]) -> "list[sa.Column[object]]":
    """Columns of the index, as PostgreSQL has them."""
    made: list[sa.Column[object]] = []
    for name in names:
        column = table.columns[name]
        is_text = isinstance(column.type, sa.Text)
        kind = sa.Text(collation="C") if is_text else sa.BigInteger()
        made.append(sa.Column(name, kind, nullable=column.nullable))
    return made


def _of_machine() -> "list[sa.Column[int]]":
    return [sa.Column(name, sa.Integer, nullable=False) for name in ("tenant_id", "machine_id")]


def _text(name: str, *, nullable: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _number(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False)


threads: Final = sa.Table(
    "threads",
    metadata,
    *_of_machine(),
    _number("row_id"),
    *_shared(local.threads, THREADS),
    _text("spawned_by", nullable=True),
    *map(_number, ("epoch", "revision")),
    *(sa.Column(name, sa.Boolean, nullable=False) for name in ("newest", "deleted")),
    _text("level"),
    sa.Column("pushed_at", sa.DateTime(timezone=True), nullable=False),
)
user_data: Final = sa.Table(
    "user_data",
    metadata,
    *_of_machine(),
    *_shared(local.user_data, USER_DATA),
    # Of the thread, for lists of those with a mark; the fleet adds them by itself.
    *map(_number, ("recency_at_ms", "created_at_ms", "updated_at_ms")),
    _text("facet"),
)
thread_usage: Final = sa.Table(
    "thread_usage",
    metadata,
    *_of_machine(),
    _number("row_id"),
    *_shared(local.thread_usage, USAGE),
)
thread_limits: Final = sa.Table(
    "thread_limits",
    metadata,
    *_of_machine(),
    _number("row_id"),
    *_shared(local.thread_limits, LIMITS),
)
