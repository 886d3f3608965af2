"""Remove what is older than a rule allows: whole partitions where nothing in them is younger, and
rows in batches where something is.

A thread is as old as its last change. Each batch is a transaction of its own: what was removed when
a run is cut off stays removed, and the next run goes on.
"""

import datetime
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import psycopg
from psycopg import sql

from state.errors import FleetLoginNotFound
from state.fleet.server import schema
from state.fleet.server.admin.setup import check_current
from state.fleet.server.connect import administrator, transaction
from state.fleet.server.operations.partitions import Partition, create_months, partitions
from state.fleet.server.pieces import FIRST, LAST

BATCH: Final = 1000
_ATTEMPTS: Final = 5
_LOCK_PATIENCE: Final = "1s"
"""So long readers and machines may have to wait behind us for a whole table."""
METADATA, TEXT, RAW = "metadata", "text", "raw"

Connection = psycopg.Connection[Any]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Rule:
    """What is to go."""

    before: datetime.datetime
    """Threads that have not changed since then."""
    level: str | None = None
    """Only what this level has added, and higher ones: ``text`` or ``raw``; None for all."""
    tenant: str | None = None
    machine: str | None = None

    @property
    def before_ms(self) -> int:
        """The same moment in milliseconds."""
        return int(self.before.timestamp() * 1000)

    @property
    def remaining(self) -> str:
        """The level that threads have afterwards."""
        return TEXT if self.level == RAW else METADATA


@dataclass(slots=True)
class Pruned:
    """What a rule has removed, or would remove."""

    threads: int = 0
    """Of which nothing is left, or only what lower levels have."""
    documents: int = 0
    rollouts: int = 0
    rollout_bytes: int = 0
    """Of the files that these are copies of."""
    pieces: int = 0
    """That no rollout was made of."""
    tombstones: int = 0
    partitions: list[str] = field(default_factory=list)
    """Removed as a whole. What was in them is in the other numbers, too."""
    busy: list[str] = field(default_factory=list)
    """Partitions that were in use for too long; their rows, and those of later months, were removed
    in batches."""
    created: list[str] = field(default_factory=list)
    """Partitions for the months to come."""


class _Scope(NamedTuple):
    """Where to look."""

    tenant_id: int
    machine_id: int | None


def prune(
    address: str, rule: Rule, report: Callable[[int], object], *, dry_run: bool = False
) -> Pruned:
    """Remove what ``rule`` says; with ``dry_run`` only count it. ``report`` is told the number of
    threads so far.

    Raises:
        FleetError: PostgreSQL does not answer, there is no fleet, or this user may not do that.
        FleetTooOld, FleetTooNew: its schema is not ours.
        FleetLoginNotFound: there is no such tenant or machine.
    """
    done = Pruned()
    with administrator(address) as connection:
        with transaction(connection, schema.ADMIN):
            check_current(connection)
            scopes = _scopes(connection, rule)
            months = partitions(connection)
        whole = rule.tenant is None and rule.machine is None
        busy: set[str] = set()
        for partition in months:
            if whole and _is_old(partition, rule) and partition.table not in busy:
                free = _prune_partition(connection, partition, rule, done, dry_run=dry_run)
                busy |= set() if free else {partition.table}
        for scope in scopes:
            if dry_run:
                with transaction(connection, schema.ADMIN):
                    _count(connection, scope, rule, done)
                continue
            for _ in _batches(connection, scope, rule, done):
                report(done.threads)
        if not dry_run:
            today = datetime.datetime.now(datetime.UTC).date()
            with suppress(psycopg.errors.LockNotAvailable):  # the next run creates them
                created = create_months(connection, today, today)
                done.created = [each.name for each in created]
    return done


def _scopes(connection: Connection, rule: Rule) -> list[_Scope]:
    """The tenants to look at, or the machine of each that has one of the name."""
    tenants = dict(connection.execute("SELECT name, tenant_id FROM threadkeep.tenants").fetchall())
    if rule.tenant is not None:
        if rule.tenant not in tenants:
            raise FleetLoginNotFound("tenant", rule.tenant)
        tenants = {rule.tenant: tenants[rule.tenant]}
    ids = sorted(tenants.values())
    if rule.machine is None:
        return [_Scope(tenant_id, None) for tenant_id in ids]
    found = connection.execute(_MACHINES, [rule.machine, ids]).fetchall()
    if not found:
        raise FleetLoginNotFound("machine", rule.machine)
    return [_Scope(*row) for row in found]


def _is_old(partition: Partition, rule: Rule) -> bool:
    """Whether it may go, by its month and the level."""
    if partition.table == "documents" and rule.level == RAW:
        return False
    return partition.until <= rule.before.astimezone(datetime.UTC).date()


def _prune_partition(
    connection: Connection, partition: Partition, rule: Rule, done: Pruned, *, dry_run: bool
) -> bool:
    """Drop a partition in which nothing is younger than the rule says; False if others use it."""
    name = sql.Identifier(schema.NAME, partition.name)
    try:
        with transaction(connection, schema.OWNER):
            if not dry_run:
                # Pushes that are under way end first, and the next ones wait for the end of this.
                connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_PATIENCE}'")
                connection.execute(
                    sql.SQL("LOCK TABLE {}, {} IN ACCESS EXCLUSIVE MODE").format(
                        sql.Identifier(schema.NAME, partition.table), name
                    )
                )
            connection.execute(f"SET LOCAL ROLE {schema.ADMIN}")
            values = [partition.month, partition.until, rule.before_ms]
            (younger,) = connection.execute(_YOUNGER[partition.table], values).fetchone() or (True,)
            if younger:
                return True
            gone: Sequence[int] = (0, 0)  # which are counted later, as they stay
            if not dry_run:
                row = connection.execute(_OF_MONTH[partition.table], values[:2]).fetchone()
                gone = row or gone
                connection.execute(f"SET LOCAL ROLE {schema.OWNER}")
                connection.execute(sql.SQL("DROP TABLE {}").format(name))
    except psycopg.errors.LockNotAvailable:
        done.busy.append(partition.name)
        return False
    done.partitions.append(partition.name)
    if partition.table == "pieces":
        done.rollouts += gone[0]
        done.rollout_bytes += gone[1]
    else:
        done.documents += gone[0]
    return True


def _batches(connection: Connection, scope: _Scope, rule: Rule, done: Pruned) -> Iterator[None]:
    """Remove what is left, in order of the rows."""
    after: int | None = 0
    while after is not None:
        after = _retried(partial(_batch, connection, scope, rule, after, done))
        yield
    done.pieces += _retried(partial(_unused_pieces, connection, scope, rule))
    yield
    if rule.level is None:
        while count := _retried(partial(_tombstones, connection, scope, rule)):
            done.tombstones += count
            yield
        _forget_folders(connection, scope.tenant_id)


def _retried(work: Callable[[], _T]) -> _T:
    """What ``work`` gives, which machines that push may have cut off."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(
            psycopg.errors.DeadlockDetected,
            psycopg.errors.UniqueViolation,
            psycopg.errors.LockNotAvailable,
        ):
            return work()
    return work()


def _batch(
    connection: Connection, scope: _Scope, rule: Rule, after: int, done: Pruned
) -> int | None:
    """Remove some threads, or what levels have added to them: the last row, None at the end."""
    with transaction(connection, schema.ADMIN):
        values = {**_values(scope, rule), "after": after, "limit": BATCH}
        found = connection.execute(_OLD + _IN_ORDER, values).fetchall()
        if not found:
            return None
        rows, machines, ids, months = (list(each) for each in zip(*found, strict=True))
        of = {"tenant": scope.tenant_id, "rows": rows, "machines": machines, "ids": ids}
        documents = 0
        if rule.level != RAW:
            documents = connection.execute(_DOCUMENTS, {**of, "months": months}).rowcount
        rollouts = connection.execute(_ROLLOUTS, of).fetchall()
        places = {*zip(months, machines, ids, strict=True), *(each[:3] for each in rollouts)}
        names = ("months", "machines", "ids")
        pieces = dict(zip(names, map(list, zip(*places, strict=True)), strict=True))
        connection.execute(_PIECES, {**of, **pieces})
        if rule.level is None:
            connection.execute(_THREADS, of)
        else:
            connection.execute(_LEVEL, {**of, "level": rule.remaining})
    done.threads += len(found)
    done.documents += documents
    done.rollouts += len(rollouts)
    done.rollout_bytes += sum(size for *_, size in rollouts)
    return int(rows[-1]) if len(found) == BATCH else None


def _tombstones(connection: Connection, scope: _Scope, rule: Rule) -> int:
    with transaction(connection, schema.ADMIN):
        return connection.execute(_TOMBSTONES, {**_values(scope, rule), "limit": BATCH}).rowcount


def _forget_folders(connection: Connection, tenant_id: int) -> None:
    """Forget the folders that no thread has any more. A push that is under way, whose threads are
    not seen yet, ends first; where one takes long, the next run forgets them."""
    with suppress(psycopg.errors.LockNotAvailable), transaction(connection, schema.ADMIN):
        connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_PATIENCE}'")
        connection.execute("LOCK TABLE threadkeep.folders IN EXCLUSIVE MODE")
        connection.execute(_FOLDERS, [tenant_id])


def _unused_pieces(connection: Connection, scope: _Scope, rule: Rule) -> int:
    """Remove what a push has left that was cut off, of months that are old. A push that is about to
    name some of it waits, and then sends it again. Where one takes long, it is left for the next
    run."""
    with transaction(connection, schema.ADMIN):
        connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_PATIENCE}'")
        try:
            with connection.transaction():
                connection.execute("LOCK TABLE threadkeep.rollouts IN SHARE MODE")
        except psycopg.errors.LockNotAvailable:
            return 0
        return connection.execute(_UNUSED, _values(scope, rule)).rowcount


def _count(connection: Connection, scope: _Scope, rule: Rule, done: Pruned) -> None:
    """Count what :func:`_batches` would remove."""
    for name, statement in _COUNTS.items():
        if (name == "tombstones" and rule.level) or (name == "documents" and rule.level == RAW):
            continue
        row = connection.execute(statement, _values(scope, rule)).fetchone()
        assert row is not None
        setattr(done, name, getattr(done, name) + row[0])
        if name == "rollouts":
            done.rollout_bytes += int(row[1])


def _values(scope: _Scope, rule: Rule) -> dict[str, Any]:
    levels = {None: [METADATA, TEXT, RAW], TEXT: [TEXT, RAW], RAW: [RAW]}[rule.level]
    return {
        "tenant": scope.tenant_id,
        "machine": scope.machine_id,
        "before_ms": rule.before_ms,
        "before": rule.before,
        "levels": levels,
    }


_MACHINES: Final = (
    "SELECT tenant_id, machine_id FROM threadkeep.machines WHERE name = %s AND tenant_id = ANY(%s)"
    " ORDER BY tenant_id"
)
_YOUNGER: Final = {
    "documents": "SELECT EXISTS (SELECT 1 FROM threadkeep.documents d JOIN threadkeep.threads t"
    " USING (tenant_id, machine_id, row_id) WHERE d.month >= %s AND d.month < %s"
    " AND t.updated_at_ms >= %s)",
    "pieces": "SELECT EXISTS (SELECT 1 FROM threadkeep.rollouts r JOIN threadkeep.threads t"
    " ON t.tenant_id = r.tenant_id AND t.machine_id = r.machine_id AND t.id = r.thread_id"
    " WHERE r.month >= %s AND r.month < %s AND t.updated_at_ms >= %s)",
}
# What goes with a partition: its documents, or the rollouts that its pieces are of.
_OF_MONTH: Final = {
    "documents": "SELECT count(*) FROM threadkeep.documents WHERE month >= %s AND month < %s",
    "pieces": "WITH gone AS (DELETE FROM threadkeep.rollouts WHERE month >= %s AND month < %s"
    " RETURNING size_bytes) SELECT count(*), coalesce(sum(size_bytes), 0)::bigint FROM gone",
}
_WHERE: Final = (
    " FROM threadkeep.threads t WHERE t.tenant_id = %(tenant)s AND NOT t.deleted"
    " AND (%(machine)s::int IS NULL OR t.machine_id = %(machine)s)"
    " AND t.updated_at_ms < %(before_ms)s AND t.level = ANY(%(levels)s)"
)
_OLD: Final = f"SELECT t.row_id, t.machine_id, t.id, threadkeep.month_of(t.created_at_ms){_WHERE}"
_IN_ORDER: Final = " AND t.row_id > %(after)s ORDER BY t.row_id LIMIT %(limit)s FOR UPDATE"
_DOCUMENTS: Final = (
    "DELETE FROM threadkeep.documents WHERE month = ANY(%(months)s)"
    " AND tenant_id = %(tenant)s AND row_id = ANY(%(rows)s)"
)
_OF_THREADS: Final = "unnest(%(machines)s::int[], %(ids)s::text[]) AS t(machine_id, id)"
_ROLLOUTS: Final = (
    f"DELETE FROM threadkeep.rollouts r USING {_OF_THREADS} WHERE r.tenant_id = %(tenant)s"
    " AND r.machine_id = t.machine_id AND r.thread_id = t.id"
    " RETURNING r.month, r.machine_id, r.thread_id, r.size_bytes"
)
_PIECES: Final = (
    "DELETE FROM threadkeep.pieces p"
    " USING unnest(%(months)s::date[], %(machines)s::int[], %(ids)s::text[])"
    " AS t(month, machine_id, id) WHERE p.tenant_id = %(tenant)s AND p.month = t.month"
    f" AND p.machine_id = t.machine_id AND p.digest BETWEEN {FIRST} AND {LAST}"
)
_UNUSED: Final = (
    "DELETE FROM threadkeep.pieces p WHERE p.tenant_id = %(tenant)s"
    " AND (%(machine)s::int IS NULL OR p.machine_id = %(machine)s)"
    " AND p.month + interval '1 month' <= %(before)s AND octet_length(p.digest) >= 16"
    " AND (tenant_id, machine_id, month, encode(substring(digest FOR 16), 'hex')) NOT IN"
    " (SELECT tenant_id, machine_id, month, replace(thread_id, '-', '') FROM threadkeep.rollouts"
    " WHERE tenant_id = %(tenant)s)"
)
_THREADS: Final = (
    "DELETE FROM threadkeep.threads WHERE tenant_id = %(tenant)s AND row_id = ANY(%(rows)s)"
)
_LEVEL: Final = (
    "UPDATE threadkeep.threads SET level = %(level)s"
    " WHERE tenant_id = %(tenant)s AND row_id = ANY(%(rows)s)"
)
# That it is deleted is asked of the row itself, too: a push may have it back meanwhile.
_TOMBSTONES: Final = (
    "DELETE FROM threadkeep.threads WHERE tenant_id = %(tenant)s AND deleted AND row_id IN ("
    "SELECT row_id FROM threadkeep.threads WHERE tenant_id = %(tenant)s AND deleted"
    " AND (%(machine)s::int IS NULL OR machine_id = %(machine)s) AND pushed_at < %(before)s"
    " ORDER BY row_id LIMIT %(limit)s)"
)
_COUNTS: Final = {
    "threads": f"SELECT count(*){_WHERE}",
    "documents": "SELECT count(*) FROM threadkeep.documents WHERE (tenant_id, row_id) IN"
    f" (SELECT t.tenant_id, t.row_id{_WHERE})",
    "rollouts": "SELECT count(*), coalesce(sum(r.size_bytes), 0) FROM threadkeep.rollouts r"
    " WHERE (tenant_id, machine_id, thread_id) IN"
    f" (SELECT t.tenant_id, t.machine_id, t.id{_WHERE})",
    "tombstones": "SELECT count(*) FROM threadkeep.threads WHERE tenant_id = %(tenant)s"
    " AND deleted AND (%(machine)s::int IS NULL OR machine_id = %(machine)s)"
    " AND pushed_at < %(before)s",
}
_FOLDERS: Final = (
    "DELETE FROM threadkeep.folders f WHERE tenant_id = %s AND NOT EXISTS"
    " (SELECT FROM threadkeep.threads t WHERE t.tenant_id = f.tenant_id AND t.cwd_key = f.cwd_key"
    " AND t.newest AND coalesce(t.git_origin_url, '') = f.git_origin_url)"
)
