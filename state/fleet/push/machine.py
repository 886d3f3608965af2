"""This machine as the fleet knows it, and the epoch of its index there.

The fleet has copies of what one index of a machine holds. An index that was rebuilt, restored or
copied does not know what of it the fleet has: then a new epoch begins, in which all is pushed
anew, and at its end what is left of earlier ones is marked as deleted.
"""

import os
import platform
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from state.errors import FleetLoginUnknown, MachineTaken, PushOvertaken
from state.fleet.push.outbox import Membership
from state.fleet.server.connect import check_revision, check_server, log_in

if TYPE_CHECKING:
    import psycopg

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
        f"{name} = CASE WHEN host IN ('', %(place)s) THEN {value} ELSE {name} END"
        for name, value in _TOLD.items()
    )
    + " WHERE machine_id = threadkeep.my_machine() RETURNING tenant_id, machine_id, name, epoch,"
    " epoch_key, host, sequence, (SELECT version_num FROM threadkeep.fleet_version)"
)
_BEGIN: Final = (
    "UPDATE threadkeep.machines SET epoch = epoch + 1, epoch_key = %s, host = %s, sequence = 0"
    " WHERE machine_id = %s AND epoch = %s AND epoch_key = %s RETURNING epoch"
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
        told = {"pending": waiting, "level": level, "version": version, "place": place}
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
    """Where an index is: its host, by a name that stays the same, and its path."""
    try:
        host = Path("/etc/machine-id").read_text("ascii").strip()[:12]
    except (OSError, ValueError):
        host = ""
    name = platform.node().partition(".")[0]
    return f"{name} {host}".strip() + f":{os.path.realpath(index)}"


def continues(here: Membership, machine: Machine, place: str) -> bool:
    """Whether the fleet has what this index has pushed, and nothing else."""
    same = (here.epoch, here.epoch_key, here.place) == (machine.epoch, machine.epoch_key, place)
    return (
        bool(here.epoch_key)
        and same
        and machine.place == place
        and here.watermark <= machine.sequence < here.sequence
    )


def check_not_taken(machine: Machine, place: str) -> None:
    """Raises MachineTaken if another index pushes as this machine: on another host, or one that is
    still there."""
    if not machine.epoch_key or machine.place == place:
        return
    host, _, path = machine.place.partition(":")
    if host != place.partition(":")[0] or Path(path).exists():
        raise MachineTaken(machine.name, host.partition(" ")[0], path)


async def begin_epoch(
    connection: "psycopg.AsyncConnection[Any]", machine: Machine, place: str
) -> Machine:
    """The machine in a new epoch. Raises PushOvertaken if another process has begun one."""
    key = uuid.uuid4().hex
    asked = [key, place, machine.machine_id, machine.epoch, machine.epoch_key]
    row = await (await connection.execute(_BEGIN, asked)).fetchone()
    if row is None:
        raise PushOvertaken
    return machine._replace(epoch=row[0], epoch_key=key, place=place, sequence=0)
