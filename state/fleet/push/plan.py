"""What a push would send, found out without a connection."""

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from state.fleet.push import outbox
from state.fleet.push.exclusions import Exclusions, concerned, with_former_folders
from state.fleet.push.machine import place_of
from state.fleet.push.rows import ROW, BatchRows, RowReader, Values

if TYPE_CHECKING:
    import sqlite3

    from state.fleet.push.push import PushOptions
    from state.thread_index import ThreadIndex

_AT_A_TIME: Final = 1_000
_MOST_SHOWN: Final = 10
_ALL: Final = "SELECT id FROM threads ORDER BY id DESC"


class Shown(NamedTuple):
    """A thread, by what the fleet would have of it."""

    id: str
    title: str
    cwd: str


class Plan(NamedTuple):
    """What a push would do."""

    everything: bool
    """Whether this index has not been pushed into the fleet before, or as something else."""
    threads: int
    """Threads whose rows would be sent."""
    row_bytes: int
    """What these rows take, about."""
    rollout_bytes: int
    """The size of their files, which the level ``raw`` sends."""
    gone: int
    """Threads that would be marked as deleted, if the fleet has them."""
    excluded: dict[str, int]
    """How many threads would be left out, by why."""
    shown: list[Shown]
    """The newest of those that would be sent."""


async def plan_push(index: "ThreadIndex", address: str, options: "PushOptions") -> Plan:
    """What a push would send into the fleet at ``address``, as far as this index knows."""
    database = index.database
    here = await database.query(outbox.membership_steps())
    exclusions = await database.look(partial(with_former_folders, options.exclusions))
    known = (address, options.level, place_of(database.path))
    everything = not here.joined or (here.fleet, here.level, here.place) != known
    ids = await database.look(partial(_ids, here, everything, exclusions))
    reader = RowReader(exclusions, options.redact)
    sent = rollouts = gone = size = 0
    excluded: Counter[str] = Counter()
    shown: list[Shown] = []
    for start in range(0, len(ids), _AT_A_TIME):
        part = ids[start : start + _AT_A_TIME]
        rows = await database.look(partial(reader.read, part))
        sent += len(rows.threads)
        size += _size(rows)
        rollouts += sum(row["size_bytes"] for row in rows.local.values())
        gone += len(rows.gone) - len(rows.excluded)
        excluded.update(rows.excluded.values())
        shown += _shown(rows)[: _MOST_SHOWN - len(shown)]
    return Plan(everything, sent, size, rollouts, gone, dict(excluded), shown)


def _ids(
    here: outbox.Membership,
    everything: bool,
    exclusions: Exclusions,
    connection: "sqlite3.Connection",
) -> list[str]:
    if everything:
        return [id_ for (id_,) in connection.execute(_ALL)]
    noted = {id_ for (id_,) in connection.execute("SELECT thread_id FROM fleet_outbox")}
    if here.exclusions != exclusions.to_json():
        noted.update(concerned(connection, Exclusions.parse(here.exclusions), exclusions))
    return sorted(noted, reverse=True)


def _size(rows: BatchRows) -> int:
    tables: tuple[list[Values], ...] = (rows.threads, rows.user_data, rows.usage, rows.limits)
    return sum(len(str(value)) for table in tables for row in table for value in row)


def _shown(rows: BatchRows) -> list[Shown]:
    """The newest first."""
    sent = (dict(zip(ROW, values, strict=False)) for values in reversed(rows.threads))
    titles = ("name", "title", "preview", "fallback_preview")
    return [
        Shown(row["id"], next((row[name] for name in titles if row[name]), ""), row["cwd"])
        for row in sent
    ]
