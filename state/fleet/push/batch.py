"""Send a batch: one transaction of the fleet, which either has all of it or nothing.

It first moves the machine's number from that of the batch before to its own. A batch that comes
late, twice or from a worker whose lease is lost finds another number there, and nothing is written.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from state.errors import PushOvertaken
from state.fleet.push.machine import Machine
from state.fleet.push.rows import ROW, BatchRows, arrays, kinds_of, text_array
from state.fleet.server import schema

if TYPE_CHECKING:
    import psycopg
    import sqlalchemy as sa

    Connection = psycopg.AsyncConnection[Any]

LEVELS: Final = (schema.METADATA, "text", "raw")
"""What is pushed of threads, each with what the one before it has."""
_ROW_KINDS: Final = kinds_of(schema.threads, ROW)
_USER_DATA_KINDS: Final = kinds_of(schema.user_data, schema.USER_DATA)
_NO_THREADS: Final = arrays((), _ROW_KINDS)
_PUSH_THREADS: Final = (
    "SELECT id, row_id, former_level, former_created_at_ms, is_gone FROM threadkeep.push_threads("
    "%s, %s, %s, %s::text[], "
    + ", ".join(f"new_{name} => %s::{kind}[]" for name, kind in zip(ROW, _ROW_KINDS, strict=True))
    + ")"
)


class PushedThread(NamedTuple):
    """A thread whose row a batch sends."""

    id: str
    month: date
    """That of its creation, by which contents are partitioned."""
    row: dict[str, Any]
    """Its row here."""
    row_id: int = 0
    """The number of its row in the fleet, once that is there."""


class Content(Protocol):
    """Sends more of threads than their rows."""

    async def prepare(self, connection: "Connection", threads: Sequence[PushedThread]) -> None:
        """Send what may go before the rows, outside of a transaction."""

    async def send(self, connection: "Connection", threads: Sequence[PushedThread]) -> None:
        """Send the rest, in the transaction of the rows, which the threads have the numbers of."""


class Batch(NamedTuple):
    """What is sent together."""

    number: int
    ids: list[str]
    rows: BatchRows
    threads: list[PushedThread]
    arrays: dict[str, list[str]]
    """The columns of the rows of each table."""

    @classmethod
    def of(cls, number: int, ids: list[str], rows: BatchRows) -> "Batch":
        """The batch of threads with these rows. It takes a while for many of them."""
        columns = {
            "threads": arrays(rows.threads, _ROW_KINDS),
            "user_data": arrays(rows.user_data, _USER_DATA_KINDS),
            **{
                table.name: arrays(values, ["text", *kinds_of(table, names)])
                for table, names, values in (
                    (schema.thread_usage, schema.USAGE, rows.usage),
                    (schema.thread_limits, schema.LIMITS, rows.limits),
                )
            },
        }
        threads = [
            PushedThread(id_, month_of(row["created_at_ms"]), row)
            for id_, row in rows.local.items()
        ]
        return cls(number, ids, rows, threads, columns)


def month_of(created_at_ms: int) -> date:
    """The month of a time; the first or last one that there is, where that is beyond all dates."""
    try:
        return datetime.fromtimestamp(created_at_ms // 1000, UTC).date().replace(day=1)
    except (ValueError, OverflowError, OSError):
        return date(9999, 12, 1) if created_at_ms > 0 else date(1, 1, 1)


async def send_batch(
    connection: "Connection",
    machine: Machine,
    batch: Batch,
    level: str,
    contents: Sequence[Content],
    *,
    patience_ms: int | None = None,
) -> tuple[int, int]:
    """Send a batch: how many threads are marked as deleted by it, and how many have a lower level
    than before. Waits for threads that others hold as long as the login does by itself, or for
    ``patience_ms``. Raises PushOvertaken if the fleet has another batch meanwhile; nothing is
    written then."""
    for content in contents:
        await content.prepare(connection, batch.threads)
    async with connection.transaction():
        if patience_ms is not None:
            await connection.execute(f"SET LOCAL lock_timeout = {patience_ms}")
        numbers, gone, lowered = await _send_rows(connection, machine, batch, level)
        await _withdraw(connection, [*gone, *lowered], messages=False)
        held = level in LEVELS[1:]
        await _withdraw(connection, [*gone, *([] if held else lowered)], rollouts=False)
        threads = [each._replace(row_id=numbers[each.id]) for each in batch.threads]
        for content in contents:
            await content.send(connection, threads)
    return len(gone), len(lowered)


Gone = tuple[str, int, int]
"""The id of a thread, the number of its row and the time of its creation."""


async def _send_rows(
    connection: "Connection", machine: Machine, batch: Batch, level: str
) -> tuple[dict[str, int], list[Gone], list[Gone]]:
    """Send the rows. Gives the numbers of their rows, and which are gone or have a lower level."""
    rows = batch.rows
    async with connection.pipeline():
        moved = await _move_number(connection, machine, batch.number)
        pushed = await _push_threads(
            connection, machine, batch.number, level, rows.gone, batch.arrays["threads"]
        )
        if rows.user_data:
            await connection.execute(
                f"INSERT INTO threadkeep.user_data (tenant_id, machine_id,"
                f" {', '.join(schema.USER_DATA)})"
                f" SELECT {machine.tenant_id}, {machine.machine_id}, u.*"
                f" FROM {_unnest(_USER_DATA_KINDS)} u",
                batch.arrays["user_data"],
            )
        for table, names, values in (
            (schema.thread_usage, schema.USAGE, rows.usage),
            (schema.thread_limits, schema.LIMITS, rows.limits),
        ):
            if values:
                columns = batch.arrays[table.name]
                await _put_dependents(connection, machine, table, names, columns)
    if moved.rowcount != 1:
        raise PushOvertaken
    numbers: dict[str, int] = {}
    gone: list[Gone] = []
    lowered: list[Gone] = []
    higher = LEVELS[LEVELS.index(level) + 1 :]
    for id_, row_id, former_level, former_created_at_ms, is_gone in await pushed.fetchall():
        if is_gone:
            gone.append((id_, row_id, former_created_at_ms))
            continue
        numbers[id_] = row_id
        if former_level in higher:
            lowered.append((id_, row_id, former_created_at_ms))
    return numbers, gone, lowered


async def _push_threads(
    connection: "Connection",
    machine: Machine,
    number: int,
    level: str,
    gone: Sequence[str],
    columns: Sequence[str],
) -> "psycopg.AsyncCursor[Any]":
    """Put rows of threads, mark others as deleted and empty them, and remove what the fleet has of
    both in other tables but contents."""
    values = [machine.epoch, number, level, text_array(gone), *columns]
    return await connection.execute(_PUSH_THREADS, values)


async def _move_number(
    connection: "Connection", machine: Machine, number: int
) -> "psycopg.AsyncCursor[Any]":
    """Move the machine on to a batch. It has changed one row, or the fleet has another batch."""
    return await connection.execute(
        f"UPDATE threadkeep.machines SET sequence = {number}"
        f" WHERE machine_id = {machine.machine_id} AND epoch = {machine.epoch}"
        f" AND epoch_key = %s AND sequence = {machine.sequence}",
        [machine.epoch_key],
    )


async def _put_dependents(
    connection: "Connection",
    machine: Machine,
    table: "sa.Table",
    names: Sequence[str],
    columns: Sequence[str],
) -> None:
    """Put rows into a table that has them by the numbers of those of threads."""
    kinds = ["text", *kinds_of(table, names)]
    # Each by its key, whatever the planner thinks: it would read all threads of the machine.
    await connection.execute(
        f"INSERT INTO threadkeep.{table.name} (tenant_id, machine_id, row_id, {', '.join(names)})"
        f" SELECT {machine.tenant_id}, {machine.machine_id}, t.row_id,"
        f" {', '.join(f'u.{name}' for name in names)}"
        f" FROM {_unnest(kinds)} u (id, {', '.join(names)})"
        f" CROSS JOIN LATERAL (SELECT row_id FROM threadkeep.threads"
        f" WHERE tenant_id = {machine.tenant_id} AND machine_id = {machine.machine_id}"
        " AND threads.id = u.id OFFSET 0) t",
        columns,
    )


async def sweep(
    connection: "Connection", machine: Machine, number: int, kept: Sequence[str], most: int
) -> int:
    """Mark copies of earlier epochs as deleted, at most so many, but for ``kept`` ones: how many.
    Raises PushOvertaken as :func:`send_batch` does."""
    of = f"tenant_id = {machine.tenant_id} AND machine_id = {machine.machine_id}"
    earlier = (
        f"SELECT id FROM threadkeep.threads WHERE {of} AND NOT deleted"
        f" AND epoch < {machine.epoch} AND NOT id = ANY(%s::text[]) ORDER BY id LIMIT {most}"
    )
    async with connection.transaction():
        if (await _move_number(connection, machine, number)).rowcount != 1:
            raise PushOvertaken
        found = await connection.execute(earlier, [text_array(kept)])
        ids = [id_ for (id_,) in await found.fetchall()]
        pushed = await _push_threads(connection, machine, number, LEVELS[0], ids, _NO_THREADS)
        gone: list[Gone] = [
            (id_, row_id, created_at_ms)
            for id_, row_id, _, created_at_ms, _ in await pushed.fetchall()
        ]
        await _withdraw(connection, gone)
    return len(gone)


def _unnest(kinds: Sequence[str]) -> str:
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in kinds)})"


async def _withdraw(
    connection: "Connection",
    threads: Sequence[Gone],
    *,
    messages: bool = True,
    rollouts: bool = True,
) -> None:
    """Remove the contents of threads that the fleet is not to have any more."""
    if not threads:
        return
    if messages:
        months = {month_of(created_at_ms) for _, _, created_at_ms in threads}
        await connection.execute(
            "SELECT threadkeep.remove_documents(%s::date[], %s::bigint[])",
            [[*months], [row_id for _, row_id, _ in threads]],
        )
    if rollouts:
        from state.fleet.push.raw import forget

        await forget(connection, [id_ for id_, _, _ in threads])
