"""Push what has changed into a fleet: a leased, fenced, resumable job of the index.

The outbox names the threads. They go in batches, the newest first: each is read in one state of the
index, sent in one transaction of the fleet, and only then taken out of the outbox. Whoever was
killed in between sends it again, and the fleet has the same rows.
"""

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from state.clock import now_ms
from state.db.job_table import FLEET, MESSAGES, ROWS
from state.errors import PushOvertaken
from state.fleet.push import failures, outbox
from state.fleet.push.batch import LEVELS, Batch, Content, send_batch, sweep
from state.fleet.push.exclusions import NOTHING, Exclusions, concerned, with_former_folders
from state.fleet.push.failures import Remedy
from state.fleet.push.machine import (
    Machine,
    begin_epoch,
    check_not_taken,
    continues,
    next_epoch,
    place_of,
    say_hello,
)
from state.fleet.push.rows import RowReader
from state.fleet.server.connect import connected
from state.jobs.progress import DEFAULT_LEASE_S, JobProgress, Report
from state.jobs.runner import Job, run_job

if TYPE_CHECKING:
    import psycopg

    from state.thread_index import ThreadIndex

_FIRST_BATCH: Final = 500
_MOST_IN_BATCH: Final = 4_000
_MOST_BYTES: Final = 32 * 2**20
"""Of the files of a batch whose contents are sent, which are in memory together."""
_BATCH_S: Final = 1.0
"""How long a batch should take: others wait for its locks, and a kill loses it."""
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How to push."""

    level: str = LEVELS[0]
    exclusions: Exclusions = NOTHING
    redact: Callable[[str], str] = str
    """Removes from a text what should not leave the machine."""
    contents: Sequence[Content] = ()
    """What is sent of threads besides their rows."""
    take_over: bool = False
    """Push even if another index pushes as this machine."""
    everything: bool = False
    """Push all threads, also those that have not changed."""
    version: str = ""
    """Of this program."""
    lease_s: float = DEFAULT_LEASE_S
    most_in_batch: int = _MOST_IN_BATCH


@dataclass(slots=True)
class Pushed:
    """What a push has done."""

    machine: str = ""
    level: str = LEVELS[0]
    threads: int = 0
    """Threads whose rows were sent."""
    deleted: int = 0
    """Threads that the fleet has marked as deleted."""
    excluded: int = 0
    """Threads that were left out."""
    lowered: int = 0
    """Threads of which the fleet had what this level does not have, and has not any more."""
    batches: int = 0
    new_epoch: bool = False
    """Whether all was pushed anew."""
    anew: bool = False
    """Whether that was neither the machine's first push nor asked for."""
    refused: dict[str, str] = field(default_factory=dict)
    """Threads that PostgreSQL does not take, and why; they stay in the outbox."""


async def push(
    index: "ThreadIndex", address: str, options: PushOptions, report: Report | None = None
) -> Pushed:
    """Push what has changed into the fleet at ``address``.

    Raises:
        FleetError: PostgreSQL cannot be reached, refuses this login, or fails.
        FleetTooNew: the fleet has a newer schema.
        FleetTooOld: it has an older one.
        LeaseHeld: another process pushes.
        LeaseLost: one took the job over, because this one was silent for too long.
        MachineTaken: another index pushes as this machine.
        PushOvertaken: another process pushes as this machine all the time.
    """

    async def work(job: Job) -> Pushed:
        async with connected(address) as connection:
            for left in reversed(range(_TRIES)):
                try:
                    return await _Push(index, job, connection, address, options, report).run()
                except PushOvertaken:
                    if not left:
                        raise
            raise AssertionError  # it returns or raises

    return await run_job(index.database, FLEET, work, lease_s=options.lease_s)


class _Push:
    def __init__(
        self,
        index: "ThreadIndex",
        job: Job,
        connection: "psycopg.AsyncConnection[Any]",
        address: str,
        options: PushOptions,
        report: Report | None,
    ) -> None:
        self._index = index
        self._database = index.database
        self._job = job
        self._connection = connection
        self._address = address
        self._options = options
        self._report = report
        self._counts = JobProgress()
        self._pushed = Pushed(level=options.level)
        self._machine: Machine
        self._place = place_of(self._database.path)
        self._reader = RowReader(options.exclusions, options.redact)
        self._size = min(_FIRST_BATCH, options.most_in_batch)
        self._patience_ms: int | None = None

    async def run(self) -> Pushed:
        """Push everything that is noted when it begins."""
        self._machine = await self._say_hello(await self._database.query(outbox.waiting_steps()))
        await self._begin()
        await self._send_all()
        membership = await self._database.query(outbox.membership_steps())
        if membership.sweep:
            await self._sweep()
        if self._pushed.batches or membership.sweep:
            left = await self._database.query(outbox.waiting_steps())
            await self._say_hello(left)
        await self._write(partial(outbox.set_pushed, at_ms=now_ms()))
        self._pushed.machine = self._machine.name
        return self._pushed

    async def _say_hello(self, waiting: int) -> Machine:
        options = self._options
        return await say_hello(
            *(self._connection, self._place),
            waiting=waiting,
            level=options.level,
            version=options.version,
        )

    async def _begin(self) -> None:
        """Go on where the last push ended, or begin an epoch."""
        options = self._options
        here = await self._database.query(outbox.membership_steps())
        place = self._place
        joined = ROWS if options.level == LEVELS[0] else MESSAGES
        exclusions = await self._database.look(partial(with_former_folders, options.exclusions))
        self._reader = RowReader(exclusions, options.redact)
        if continues(here, self._machine, place):
            sequence = self._machine.sequence
            await self._write(partial(outbox.go_on, fleet=self._address, sequence=sequence))
            if (here.level, here.joined) != (options.level, joined):
                await self._write(partial(outbox.change_level, level=options.level, joined=joined))
            if options.everything:
                await self._write(outbox.note_all)
            if here.exclusions != exclusions.to_json():
                await self._write(partial(_exclude, before=here.exclusions, now=exclusions))
        else:
            if not options.take_over:
                check_not_taken(here, self._machine, place)
            begun = next_epoch(self._machine, place)
            membership = here._replace(
                joined=joined,
                fleet=self._address,
                level=options.level,
                exclusions=exclusions.to_json(),
                epoch=begun.epoch,
                epoch_key=begun.epoch_key,
                place=place,
            )
            # Here first: killed in between, this index must not look as one that was replaced.
            await self._write(partial(outbox.begin_epoch, begun=membership))
            await begin_epoch(self._connection, self._machine, begun)
            self._machine = begun
            self._pushed.new_epoch = True
            self._pushed.anew = self._machine.epoch > 1 and not options.take_over
        self._counts.total = await self._database.query(outbox.waiting_steps())

    async def _send_all(self) -> None:
        """Send the outbox, and read the next batch meanwhile."""
        before = outbox.LAST
        batch = await self._next(before)
        while batch is not None:
            ahead = asyncio.create_task(self._next(batch.ids[-1]))
            try:
                sent = await self._send(batch)
            except BaseException:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)
                raise
            following = await ahead
            if sent:
                before, batch = batch.ids[-1], following
            else:  # again, in smaller parts
                batch = await self._next(before)

    async def _next(self, before: str) -> Batch | None:
        """The next batch of what is noted below an id; None at the end."""
        if before == outbox.LAST and not self._counts.total:
            return None
        number = await self._write(outbox.take_number)
        most_bytes = _MOST_BYTES if self._options.contents else math.inf
        steps = outbox.next_ids_steps(number, before, self._size, most_bytes)
        ids = await self._database.query(steps)
        if not ids:
            return None
        return await self._database.look(partial(self._read, number, ids))

    def _read(self, number: int, ids: list[str], connection: sqlite3.Connection) -> Batch:
        return Batch.of(number, ids, self._reader.read(ids, connection))

    async def _send(self, batch: Batch) -> bool:
        """Send a batch, and take it out of the outbox. False if it has to be sent in parts."""
        begun, tries = time.monotonic(), 0
        while True:
            try:
                deleted, lowered = await send_batch(
                    *(self._connection, self._machine, batch),
                    *(self._options.level, self._options.contents),
                    patience_ms=self._patience_ms,
                )
                break
            except Exception as error:
                tries += 1
                if failures.is_held(error):
                    self._patience_ms = failures.PATIENCE_MS
                match failures.remedy(error, tries, len(batch.ids)):
                    case Remedy.AGAIN:
                        await asyncio.sleep(failures.pause_s(tries))
                    case Remedy.PARTS:
                        self._size = max(len(batch.ids) // 8, 1)
                        return False
                    case Remedy.LEAVE:
                        self._pushed.refused[batch.ids[0]] = failures.reason(error)
                        return True
                    case _:
                        raise
        self._machine = self._machine._replace(sequence=batch.number)
        confirm = partial(outbox.confirm, sequence=batch.number, ids=batch.ids)
        await self._write(confirm, len(batch.ids))
        self._pushed.batches += 1
        self._pushed.threads += len(batch.threads)
        self._pushed.deleted += deleted
        self._pushed.excluded += len(batch.rows.excluded)
        self._pushed.lowered += lowered
        size = _size_after(time.monotonic() - begun, len(batch.ids), self._size)
        self._size = min(size, self._options.most_in_batch)
        return True

    async def _sweep(self) -> None:
        """Mark what is left of earlier epochs as deleted, but for what waits to be sent."""
        waiting = await self._database.query(outbox.all_ids_steps())
        found = most = self._options.most_in_batch
        while found:
            number = await self._write(outbox.take_number)
            found = await sweep(self._connection, self._machine, number, waiting, most)
            self._machine = self._machine._replace(sequence=number)
            await self._write(partial(outbox.set_watermark, sequence=number))
            self._pushed.deleted += found
        await self._write(outbox.end_sweep)

    async def _write(self, work: Callable[[Any], Any], done: int = 0) -> Any:
        """Write to the index under the lease."""
        self._counts.done += done

        def progress() -> dict[str, int]:
            return {"threads_total": self._counts.total, "threads_done": self._counts.done}

        result = await self._job.transact(work, progress)
        if done and self._report:
            self._report(self._counts)
        return result


def _exclude(connection: sqlite3.Connection, *, before: str, now: Exclusions) -> None:
    """Have threads taken back that are left out from now on, and sent that no longer are."""
    found = concerned(connection, Exclusions.parse(before), now)
    outbox.change_exclusions(connection, now.to_json(), found)


def _size_after(took_s: float, size: int, planned: int) -> int:
    """The size of the next batch, so that it takes about :data:`_BATCH_S`."""
    wanted = int(size * _BATCH_S / max(took_s, 0.001))
    return max(1, min(wanted, planned * 2))
