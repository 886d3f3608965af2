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
    taken_back: int
    """Threads that would be left out, and that the fleet may have."""
    excluded: dict[str, int]
    """How many threads would be left out, by why."""
    sent: list[Shown]
    """Those that would be sent, the newest first."""


async def plan_push(index: "ThreadIndex", address: str, options: "PushOptions") -> Plan:
    """What a push would send into the fleet at ``address``, as far as this index knows."""
    database = index.database
    here = await database.query(outbox.membership_steps())
    exclusions = await database.look(partial(with_former_folders, options.exclusions))
    known = (address, options.level, place_of(database.path))
    everything = (
        options.everything or not here.joined or (here.fleet, here.level, here.place) != known
    )
    noted = await database.look(partial(_noted, here, exclusions)) if here.joined else set()
    there = noted if here.fleet == address else set()
    ids = sorted(there | (await database.look(_all_ids) if everything else noted))
    reader = RowReader(exclusions, options.redact)
    rollouts = gone = taken_back = size = 0
    excluded: Counter[str] = Counter()
    sent: list[tuple[int, Shown]] = []
    for start in range(0, len(ids), _AT_A_TIME):
        part = ids[start : start + _AT_A_TIME]
        rows = await database.look(partial(reader.read, part))
        size += _size(rows)
        rollouts += sum(row["size_bytes"] for row in rows.local.values())
        gone += len(rows.gone) - len(rows.excluded)
        excluded.update(rows.excluded.values())
        taken_back += len(there & rows.excluded.keys())
        sent += _shown(rows)
    sent.sort(reverse=True)
    newest = [each for _, each in sent]
    return Plan(everything, len(sent), size, rollouts, gone, taken_back, dict(excluded), newest)


def _all_ids(connection: "sqlite3.Connection") -> set[str]:
    return {id_ for (id_,) in connection.execute("SELECT id FROM threads")}


def _noted(
    here: outbox.Membership, exclusions: Exclusions, connection: "sqlite3.Connection"
) -> set[str]:
    """The threads that have changed since the last push, or are left out only now or no more."""
    noted = {id_ for (id_,) in connection.execute("SELECT thread_id FROM fleet_outbox")}
    if here.exclusions != exclusions.to_json():
        noted.update(concerned(connection, Exclusions.parse(here.exclusions), exclusions))
    return noted


def _size(rows: BatchRows) -> int:
    tables: tuple[list[Values], ...] = (rows.threads, rows.user_data, rows.usage, rows.limits)
    return sum(len(str(value)) for table in tables for row in table for value in row)


def _shown(rows: BatchRows) -> list[tuple[int, Shown]]:
    """Each with the time by which lists are in order."""
    sent = (dict(zip(ROW, values, strict=False)) for values in rows.threads)
    titles = ("name", "title", "preview", "fallback_preview")
    return [
        (
            row["updated_at_ms"],
            Shown(row["id"], next((row[name] for name in titles if row[name]), ""), row["cwd"]),
        )
        for row in sent
    ]
