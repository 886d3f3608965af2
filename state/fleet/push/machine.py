"""This machine as the fleet knows it, and the epoch of its index there.

The fleet has copies of what one index of a machine holds. An index that was rebuilt, restored or
copied does not know what of it the fleet has: then a new epoch begins, in which all is pushed
anew, and at its end what is left of earlier ones is marked as deleted.
"""

import os
import platform
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from state.errors import FleetLoginUnknown, MachineTaken, PushOvertaken
from state.fleet.push.outbox import Membership
from state.fleet.server.connect import check_revision, check_server, log_in

if TYPE_CHECKING:
    import psycopg

_MACHINE_ID: Final = Path("/etc/machine-id")
_NAME: Final = "^[^ :]+ "
"""The name of a host in a place that has the host's id, too, and is the same by any name."""
_TOLD: Final = {
    "pushed_at": "now()",
    "pending": "%(pending)s",
    "level": "%(level)s",
    "version": "%(version)s",
}
# An index that may be refused says nothing of the one that pushes as this machine.
_HELLO: Final = (
    "UPDATE threadkeep.machines SET "
    + ", ".join(
        f"{name} = CASE WHEN regexp_replace(host, '{_NAME}', '') IN ('', %(place)s)"
        f" THEN {value} ELSE {name} END"
        for name, value in _TOLD.items()
    )
    + " WHERE machine_id = threadkeep.my_machine() RETURNING tenant_id, machine_id, name, epoch,"
    " epoch_key, host, sequence, former_key, former_sequence,"
    " (SELECT version_num FROM threadkeep.fleet_version)"
)
_BEGIN: Final = (
    "UPDATE threadkeep.machines SET epoch = epoch + 1, epoch_key = %s, host = %s, sequence = 0,"
    " former_key = epoch_key, former_sequence = sequence"
    " WHERE machine_id = %s AND epoch = %s AND epoch_key = %s"
)


class Machine(NamedTuple):
    """This machine as the fleet knows it."""

    tenant_id: int
    machine_id: int
    name: str
    epoch: int
    epoch_key: str
    place: str
    sequence: int
    """Number of the last batch that the fleet has."""
    former_key: str
    """Of the epoch before."""
    former_sequence: int
    """Number of the last batch that it had when this one began."""


async def say_hello(
    connection: "psycopg.AsyncConnection[Any]",
    place: str,
    *,
    waiting: int,
    level: str,
    version: str,
) -> Machine:
    """What the fleet knows of this machine, and tell it how this one is: in one query, which is all
    that a push costs if nothing is new.

    Raises what :func:`state.fleet.server.connect.log_in` raises, and FleetLoginUnknown for a login
    of readers.
    """
    import psycopg

    check_server(connection)
    row = None
    try:
        told = {"pending": waiting, "level": level, "version": version, "place": _known_as(place)}
        row = await (await connection.execute(_HELLO, told)).fetchone()
    except (psycopg.errors.SyntaxErrorOrAccessRuleViolation, psycopg.errors.InvalidName):
        await log_in(connection)  # which says what is wrong
        raise
    if row is None:
        await log_in(connection)
        raise FleetLoginUnknown(connection.info.user)
    check_revision(row[-1])
    return Machine(*row[:-1])


def place_of(index: Path) -> str:
    """Where an index is: its host, by its name and an id that stays when that changes, and its
    path."""
    try:
        host = _MACHINE_ID.read_text("ascii").strip()[:12]
    except (OSError, ValueError):
        host = ""
    name = platform.node().partition(".")[0]
    return f"{name} {host}".strip() + f":{os.path.realpath(index)}"


def _known_as(place: str) -> str:
    """A place without the name of its host, if it has the host's id."""
    return re.sub(_NAME, "", place)


def continues(here: Membership, machine: Machine, place: str) -> bool:
    """Whether the fleet has what this index has pushed, and nothing else."""
    return (
        _known_as(machine.place) == _known_as(place) == _known_as(here.place)
        and here.epoch == machine.epoch
        and _has_pushed(here, machine.epoch_key, machine.sequence)
    )


def check_not_taken(here: Membership, machine: Machine, place: str) -> None:
    """Raises MachineTaken if another index pushes as this machine: on another host, one that is
    still there, or a copy of this one on a copy of this computer.

    A copy looks as an older state of this index does. But when an older state begins an epoch, the
    newer one has been replaced; one that comes all the same is alive beside it."""
    if not machine.epoch_key:
        return
    if _known_as(machine.place) == _known_as(place):
        if _has_pushed(here, machine.former_key, machine.former_sequence):
            raise MachineTaken(machine.name)
        return
    host, _, path = _known_as(machine.place).partition(":")
    if host != _known_as(place).partition(":")[0] or Path(path).exists():
        raise MachineTaken(machine.name, f"{path} on {re.split('[ :]', machine.place)[0]}")


def _has_pushed(here: Membership, key: str, sequence: int) -> bool:
    """Whether a batch of an epoch is the last one that this index has pushed."""
    return bool(key) and here.epoch_key == key and here.watermark <= sequence < here.sequence


def next_epoch(machine: Machine, place: str) -> Machine:
    """The machine in a new epoch, which the fleet does not know yet."""
    return machine._replace(
        epoch=machine.epoch + 1, epoch_key=uuid.uuid4().hex, place=place, sequence=0
    )


async def begin_epoch(
    connection: "psycopg.AsyncConnection[Any]", before: Machine, begun: Machine
) -> None:
    """Begin an epoch. Raises PushOvertaken if another process has begun one."""
    asked = [begun.epoch_key, begun.place, before.machine_id, before.epoch, before.epoch_key]
    if (await connection.execute(_BEGIN, asked)).rowcount != 1:
        raise PushOvertaken
