"""The outbox of an index: which threads have changed since they were last pushed, and how far the
fleet is known to be.

A push takes the outbox in batches. Each has a number, and is of the threads that were noted before
that number was given; what changes later has a higher one, and stays in the outbox. All of this
runs inside the caller's transactions.
"""

import sqlite3
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from state.db.sql import AMONG, listed
from state.db.steps import Steps, run_steps

FIRST: Final = 1
"""The number of the first batch of an epoch."""


class Membership(NamedTuple):
    """What the index knows of the fleet that it was last pushed to."""

    joined: int
    fleet: str
    level: str
    exclusions: str
    epoch: int
    epoch_key: str
    place: str
    sequence: int
    """Number of the next batch."""
    watermark: int
    """Number of the last batch that the fleet is known to have."""
    sweep: int
    pushed_at_ms: int


_MEMBERSHIP: Final = f"SELECT {', '.join(Membership._fields)} FROM fleet_state"
_NOTE_ALL: Final = (
    "INSERT INTO fleet_outbox SELECT t.id, f.sequence FROM threads t, fleet_state f WHERE true"
    " ON CONFLICT (thread_id) DO UPDATE SET sequence = excluded.sequence"
)
_NOTE: Final = (
    "INSERT INTO fleet_outbox SELECT value, sequence FROM json_each(?), fleet_state WHERE true"
    " ON CONFLICT (thread_id) DO UPDATE SET sequence = excluded.sequence"
)
_CONFIRM: Final = f"DELETE FROM fleet_outbox WHERE sequence <= ? AND thread_id {AMONG}"
_NEXT: Final = (
    "SELECT o.thread_id, coalesce(t.size_bytes, 0) FROM fleet_outbox o"
    " LEFT JOIN threads t ON t.id = o.thread_id WHERE o.thread_id < ? AND o.sequence <= ?"
    " ORDER BY o.thread_id DESC LIMIT ?"
)
LAST: Final = "\U0010ffff"
"""After the ids of all threads."""


def membership_steps() -> Steps[Membership]:
    """What the index knows of its fleet."""
    rows = yield _MEMBERSHIP, []
    return Membership(*rows[0]) if rows else Membership(0, "", "", "", 0, "", "", 0, 0, 0, 0)


def waiting_steps() -> Steps[int]:
    """How many threads wait for the next push."""
    return int((yield "SELECT count(*) FROM fleet_outbox", [])[0][0])


def next_ids_steps(sequence: int, before: str, most: int, most_bytes: float) -> Steps[list[str]]:
    """The threads of the batch of this number, the newest first: those below an id, at most so
    many, and with at most so much in their files, but at least one."""
    ids: list[str] = []
    size = 0
    for id_, size_bytes in (yield _NEXT, [before, sequence, most]):
        size += size_bytes
        if ids and size > most_bytes:
            break
        ids.append(id_)
    return ids


def begin_epoch(connection: sqlite3.Connection, begun: Membership) -> None:
    """Have everything pushed anew, as the epoch that has ``begun``."""
    values = begun._replace(sequence=FIRST, watermark=0, sweep=1, pushed_at_ms=0)
    columns = ", ".join(f"{name} = ?" for name in Membership._fields)
    connection.execute(f"UPDATE fleet_state SET {columns}", values)
    connection.execute("DELETE FROM fleet_outbox")
    connection.execute(_NOTE_ALL)


def change_level(connection: sqlite3.Connection, level: str, joined: int) -> None:
    """Have everything pushed again, at another level."""
    connection.execute("UPDATE fleet_state SET level = ?, joined = ?", [level, joined])
    connection.execute(_NOTE_ALL)


def note_all(connection: sqlite3.Connection) -> None:
    """Have everything pushed again."""
    connection.execute(_NOTE_ALL)


def change_exclusions(
    connection: sqlite3.Connection, exclusions: str, concerned: Iterable[str]
) -> None:
    """Remember what is left out from now on, and note the threads that this concerns."""
    connection.execute("UPDATE fleet_state SET exclusions = ?", [exclusions])
    connection.execute(_NOTE, [listed(concerned)])


def take_number(connection: sqlite3.Connection) -> int:
    """The number of the next batch: what changes from now on is of later ones."""
    connection.execute("UPDATE fleet_state SET sequence = sequence + 1")
    return run_steps(membership_steps(), connection).sequence - 1


def any_waiting_steps() -> Steps[bool]:
    """Whether a thread waits for the next push."""
    return bool((yield "SELECT 1 FROM fleet_outbox LIMIT 1", []))


def all_ids_steps() -> Steps[list[str]]:
    """All threads that wait."""
    return [id_ for (id_,) in (yield "SELECT thread_id FROM fleet_outbox", [])]


def confirm(connection: sqlite3.Connection, sequence: int, ids: Collection[str]) -> None:
    """Forget that threads were noted which the fleet has, as they were in a batch."""
    connection.execute(_CONFIRM, [sequence, listed(ids)])
    set_watermark(connection, sequence)


def set_watermark(connection: sqlite3.Connection, sequence: int) -> None:
    """Remember which batch the fleet has: of the last one, a push that was killed may not know."""
    connection.execute("UPDATE fleet_state SET watermark = ?", [sequence])


def go_on(connection: sqlite3.Connection, fleet: str, sequence: int) -> None:
    """Remember how the fleet is called now, and which batch it has."""
    connection.execute("UPDATE fleet_state SET fleet = ?", [fleet])
    set_watermark(connection, sequence)


def end_sweep(connection: sqlite3.Connection) -> None:
    """Remember that nothing of earlier epochs is left."""
    connection.execute("UPDATE fleet_state SET sweep = 0")


def set_pushed(connection: sqlite3.Connection, at_ms: int) -> None:
    """Remember when a push was complete."""
    connection.execute("UPDATE fleet_state SET pushed_at_ms = ?", [at_ms])
