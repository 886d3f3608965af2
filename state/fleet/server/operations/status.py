"""How a fleet is doing: its machines, what it takes on the disk, its slowest queries."""

import datetime
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from state.checks.findings import NOTE, WARNING, Finding, Findings, kinds
from state.fleet.server import schema
from state.fleet.server.admin.setup import check_current, revision
from state.fleet.server.connect import administering, server_version
from state.fleet.server.operations.partitions import following, lacking_months

SILENT: Final = datetime.timedelta(days=7)
_BEHIND: Final = datetime.timedelta(days=1)
_SLOWEST: Final = 5
_LONGEST_QUERY: Final = 300
"""So much of a query is shown."""
_MANY_DEAD: Final = 1 / 3
_FEW_DEAD: Final = 10_000
KINDS: Final = kinds(
    (WARNING, None, "fleet_silent fleet_never_pushed fleet_behind"),
    (WARNING, "threadkeep fleet upgrade", "fleet_month"),
    (NOTE, "threadkeep fleet upgrade", "fleet_earlier_month"),
    (WARNING, None, "fleet_dead_rows"),
)

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, and what it last told of itself."""

    tenant: str
    name: str
    user_name: str
    role_name: str
    host: str
    level: str
    version: str
    epoch: int
    pending: int
    """Threads that it had still to push."""
    pushed_at: datetime.datetime | None
    created_at: datetime.datetime
    """When it was let in, for the first time."""
    revoked_at: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class Reader:
    """A login that reads all threads of a tenant, and pushes none."""

    tenant: str
    name: str
    created_at: datetime.datetime
    revoked_at: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class Table:
    """What a table takes, with all its partitions."""

    name: str
    partitions: int
    rows: int
    """As PostgreSQL estimates it."""
    dead: int
    table_bytes: int
    """With what is stored beside it."""
    index_bytes: int


@dataclass(frozen=True, slots=True)
class SlowQuery:
    """A statement, over all its calls since the statistics were reset."""

    query: str
    calls: int
    mean_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """How a fleet is doing."""

    database: str
    server: str
    revision: str | None
    database_bytes: int
    threads: int
    """About so many, copies included."""
    machines: list[Machine]
    readers: list[Reader]
    tables: list[Table]
    slowest: list[SlowQuery] | None
    """None: pg_stat_statements is not there."""
    findings: Findings


def fleet_status(address: str, now: datetime.datetime) -> FleetStatus:
    """How the fleet at ``address`` is doing. Changes nothing.

    Raises:
        FleetError: PostgreSQL does not answer, there is no fleet, or this user may not look.
        FleetTooOld, FleetTooNew: its schema is not ours.
    """
    with administering(address) as connection:
        check_current(connection)
        slowest = _slowest(connection)
        connection.execute(f"SET LOCAL ROLE {schema.ADMIN}")
        machines = _machines(connection)
        tables = _tables(connection)
        (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (
            0,
        )
        findings = Findings()
        for machine in machines:
            for finding in _of_machine(machine, now):
                findings.add(finding)
        for finding in (*_of_tables(tables), *_of_months(connection, now.date())):
            findings.add(finding)
        return FleetStatus(
            connection.info.dbname,
            server_version(connection.info.server_version),
            revision(connection),
            int(size),
            sum(table.rows for table in tables if table.name == "threads"),
            machines,
            _readers(connection),
            tables,
            slowest,
            findings,
        )


def _machines(connection: Connection) -> list[Machine]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return [Machine(**row) for row in cursor.execute(_MACHINES)]


def _readers(connection: Connection) -> list[Reader]:
    return [Reader(*row) for row in connection.execute(_READERS)]


def _tables(connection: Connection) -> list[Table]:
    return [Table(*row) for row in connection.execute(_TABLES)]


def _slowest(connection: Connection) -> list[SlowQuery] | None:
    """None also if this user may not look at it."""
    row = connection.execute(_STATEMENTS).fetchone()
    if row is None:
        return None
    try:
        with connection.transaction():
            found = connection.execute(_SLOW.format(row[0]), [_LONGEST_QUERY, _SLOWEST]).fetchall()
    except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.InsufficientPrivilege):
        return None  # it is not in shared_preload_libraries
    return [SlowQuery(" ".join(query.split()), *rest) for query, *rest in found]


def _of_machine(machine: Machine, now: datetime.datetime) -> list[Finding]:
    if machine.revoked_at is not None:
        return []
    name = f"{machine.tenant}/{machine.name}"
    if machine.pushed_at is None:
        if now - machine.created_at <= SILENT:
            return []
        return [Finding(KINDS["fleet_never_pushed"], f"{name} has never pushed.")]
    if now - machine.pushed_at > SILENT:
        days = (now - machine.pushed_at).days
        message = f"{name} has not pushed for {days} days."
        return [Finding(KINDS["fleet_silent"], message)]
    if machine.pending and now - machine.pushed_at > _BEHIND:
        message = f"{name} had {machine.pending:,} threads left to push, and pushes no more."
        return [Finding(KINDS["fleet_behind"], message)]
    return []


def _of_tables(tables: list[Table]) -> list[Finding]:
    return [
        Finding(
            KINDS["fleet_dead_rows"],
            f"{table.name} has {table.dead:,} rows that are gone: autovacuum does not keep up.",
        )
        for table in tables
        if table.dead > max(_FEW_DEAD, table.rows * _MANY_DEAD)
    ]


def _of_months(connection: Connection, today: datetime.date) -> list[Finding]:
    """The months that begin soon or have rows, and no partitions. Those before this one are found
    as soon as a machine with older threads than others has pushed: nothing is wrong with that."""
    this = today.replace(day=1)
    lacking = sorted({each.month for each in lacking_months(connection, following(this, -1), this)})
    parts = {
        "fleet_month": [month for month in lacking if month >= this],
        "fleet_earlier_month": [month for month in lacking if month < this],
    }
    message = "Months without partitions of their own cannot go as a whole: {}."
    return [
        Finding(KINDS[code], message.format(", ".join(f"{month:%Y-%m}" for month in months)))
        for code, months in parts.items()
        if months
    ]


_MACHINES: Final = """
    SELECT t.name AS tenant, m.name, m.user_name, m.role_name, m.host, m.level, m.version, m.epoch,
        m.pending, m.pushed_at, m.created_at, m.revoked_at
    FROM threadkeep.machines m JOIN threadkeep.tenants t USING (tenant_id)
    ORDER BY m.pushed_at DESC NULLS LAST, t.name, m.name
"""
_READERS: Final = """
    SELECT t.name, l.role_name, l.created_at, l.revoked_at
    FROM threadkeep.logins l JOIN threadkeep.tenants t USING (tenant_id)
    WHERE l.machine_id IS NULL ORDER BY t.name, l.role_name
"""
# What has gone since the last ANALYZE or VACUUM, as by a prune, only n_live_tup knows. After a
# crash it is 0.
_TABLES: Final = """
    SELECT c.relname, count(part.oid) FILTER (WHERE part.oid <> c.oid),
        coalesce(sum(CASE WHEN s.n_live_tup + s.n_dead_tup > 0 THEN s.n_live_tup
            ELSE greatest(part.reltuples, 0) END), 0)::bigint,
        coalesce(sum(s.n_dead_tup), 0)::bigint,
        coalesce(sum(pg_table_size(part.oid)), 0)::bigint,
        coalesce(sum(pg_indexes_size(part.oid)), 0)::bigint
    FROM pg_class c
    CROSS JOIN LATERAL (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf
        UNION SELECT c.oid WHERE c.relkind = 'r') AS tree
    JOIN pg_class part ON part.oid = tree.relid
    LEFT JOIN pg_stat_all_tables s ON s.relid = part.oid
    WHERE c.relnamespace = 'threadkeep'::regnamespace AND c.relkind IN ('r', 'p')
        AND NOT c.relispartition
    GROUP BY c.relname ORDER BY 5 DESC, 1
"""
_STATEMENTS: Final = """
    SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace
    WHERE extname = 'pg_stat_statements'
"""
_SLOW: Final = r"""
    SELECT left(query, %s), calls, mean_exec_time, total_exec_time FROM {}.pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND query ~* '^\s*(SELECT|WITH|INSERT|UPDATE|DELETE|COPY)' AND query LIKE '%%threadkeep%%'
        AND query NOT LIKE '%%pg_stat_statements%%'
    ORDER BY mean_exec_time DESC LIMIT %s
"""
