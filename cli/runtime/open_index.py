"""Run asynchronous work from a command, on an index in whatever state it is."""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from cli.arguments.locations import Locations
from cli.runtime.waiting import for_thread
from cli.terminal import output
from cli.terminal.delegated import DELEGATED
from cli.terminal.hidden import inaccessible
from cli.terminal.progress import Bar, progress
from rollout.files.scan import check_codex_home
from state.errors import IndexBusy, IndexDamaged, IndexNotWritable
from state.jobs.runner import Answered
from state.query.model import Query
from state.query.rows import Row
from state.sync.unread import Waiting
from state.thread_index import ThreadIndex, open_index

Result = TypeVar("Result")
Work = Callable[[ThreadIndex], Awaitable[Result]]


def with_index(locations: Locations, work: Work[Result], *, recovering: bool = True) -> Result:
    """The result of ``work`` on the index, which is created if needed. With ``recovering`` a
    damaged index is first moved aside, and a new one begun. Raises HomeNotFound if there is no
    home, and NotACodexHome if it is something else."""
    client = DELEGATED.get()
    if client is not None:
        result: Result = client.on_index(work)
        return result
    check_codex_home(locations.home)  # before an index is created for nothing
    return _run(_opened(locations, work, recovering))


def read_index(locations: Locations, work: Work[Result], *, recovering: bool = True) -> Result:
    """As :func:`with_index`, for work that only reads: where the index cannot be written, it is
    done on a temporary copy; and where a fleet is named, on that."""
    if locations.fleet is not None:
        return _run(_read_fleet(locations, locations.fleet, work))
    try:
        return with_index(locations, work, recovering=recovering)
    except IndexNotWritable as problem:
        with temporary_copy(locations, problem) as copy:
            return _run(_opened(copy, work, recovering))


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of ``work``. It is kept from asyncio, which describes the task that it has run,
    result and all, where it takes back its handler of interrupts: a long text for nothing."""
    results: list[Result] = []

    async def run() -> None:
        results.append(await work)

    asyncio.run(run())
    return results[0]


@contextmanager
def temporary_copy(locations: Locations, problem: IndexNotWritable) -> Iterator[Locations]:
    """Say that the index cannot be written, and give the locations with a copy of it."""
    from state.repair.recovery import copy_index

    output.say(f"{problem}\n  Answering from a temporary copy; nothing will be saved.")
    with tempfile.TemporaryDirectory(prefix="threadkeep-") as folder:
        copy = copy_index(locations.index, Path(folder))
        yield Locations(locations.home, copy, locations.sqlite_home)


def put_aside(locations: Locations, damage: IndexDamaged) -> None:
    """Move a damaged index aside, and say so. Raises ``damage`` again if the file may be no
    index of ours."""
    asyncio.run(_put_aside(locations, damage))


async def catch_up(
    index: ThreadIndex,
    result: str = "this list may be incomplete",
    *,
    waiting: Waiting | None = None,
    what: str = "indexing",
) -> str:
    """Catch up with the files, with a progress bar that says ``what`` is done. Returns why the
    result may be incomplete, if it may: in the words of ``result`` while the index is first made.
    Where there is much to read, ``waiting`` gets its answer before the end. Raises Answered if it
    needs no more."""
    if DELEGATED.get() is not None:
        return inaccessible(await index.known_away())  # the server watches the files
    try:
        with progress(what) as bar, interruptible(bar):
            if (counts := await index.catch_up(bar, waiting=waiting)) is not None:
                return inaccessible(counts.away)
    except IndexBusy as busy:
        index.database.stop_waiting()
        return f"Not caught up with the files: {busy}."
    job = await index.backfill_status()
    if waiting is not None and await waiting(await index.unread()) is None:
        return ""  # what the other process has not read yet makes no difference
    return f"Indexing: {job.progress} so far, by {job.owner}; {result}."


@contextmanager
def interruptible(bar: Bar) -> Iterator[None]:
    """Have an interrupt say what is done, and that it is kept."""
    try:
        yield
    except asyncio.CancelledError:
        done = bar.counts
        so_far = f" {done.done:,} of {done.total:,} {bar.unit} are indexed." if done else ""
        output.interrupted += f"{so_far} The next command continues from there."
        raise


def answered(what: str, left: int, unit: str = "files") -> None:
    """End the output after the first answer, which ``what`` names: what is ``left`` is indexed
    behind it."""
    output.end()
    output.interrupted = f"Interrupted. The {what} above is complete."
    if sys.stderr.isatty():
        output.say(f"{left:,} {unit} are still being indexed. Ctrl-C is safe.")


async def catch_up_until(index: ThreadIndex, waiting: Waiting | None) -> None:
    """As :func:`catch_up_and_report`, and no longer than ``waiting`` needs."""
    with suppress(Answered):
        if note := await catch_up(index, waiting=waiting):
            output.say(note)


async def find_thread(index: ThreadIndex, reference: str) -> Row:
    """Catch up with the files, at least until the thread is there that ``reference`` means. Raises
    what :meth:`state.thread_index.ThreadIndex.thread` raises."""
    await catch_up_until(index, for_thread(index, reference))
    return await index.thread(reference)


async def catch_up_with_prices(index: ThreadIndex, query: Query | None = None) -> list[str]:
    """Catch up with the files, and look up the prices of new models; in a fleet, those of what
    ``query`` sees. Returns why numbers may be incomplete. Raises InvalidPrices if the user's list
    of prices cannot be used."""
    notes = [await catch_up(index), await look_up_prices(index, query)]
    return [note for note in notes if note]


async def look_up_prices(index: ThreadIndex, query: Query | None = None) -> str:
    """Look up the prices of new models, or all if they have changed. Returns why some may be
    missing, if they may. Raises InvalidPrices if the user's list of prices cannot be used."""
    if await index.look_up_prices(query or Query()):
        return ""
    return "The index cannot be written now: prices may be out of date, and new models have none."


async def catch_up_fulltext(index: ThreadIndex) -> str:
    """Have the full-text index catch up, with a progress bar. Returns why threads may be missing,
    if they may."""
    if DELEGATED.get() is not None:
        return ""  # the server does so
    from state.fulltext.indexer import caught_up_fulltext, pending_threads

    try:
        with progress("indexing messages", "threads") as bar, interruptible(bar):
            if await caught_up_fulltext(index, bar):
                return ""
    except IndexBusy as busy:
        index.database.stop_waiting()
        return f"The search index may be behind: {busy}."
    pending = await pending_threads(index)
    return f"Another process is indexing messages: the search index is {pending:,} threads behind."


async def catch_up_and_report(index: ThreadIndex) -> None:
    """Catch up with the files, and say so if what follows may be incomplete."""
    if note := await catch_up(index):
        output.say(note)


async def _opened(locations: Locations, work: Work[Result], recovering: bool) -> Result:
    async def attempt() -> Result:
        here = locations
        async with open_index(here.home, here.index, here.sqlite_home) as index:
            for problem in index.unfinished:
                output.say(f"An interrupted move of files cannot be finished yet: {problem}.")
            return await work(index)

    try:
        return await attempt()
    except IndexDamaged as damage:
        if not recovering:
            raise
        await _put_aside(locations, damage)
    return await attempt()


async def _read_fleet(here: Locations, address: str, work: Work[Result]) -> Result:
    from state.fleet.reading.index import open_fleet

    async with open_fleet(here.home, here.index, address) as index:
        await index.see(here.machine, here.users)
        return await work(index)


async def _put_aside(locations: Locations, damage: IndexDamaged) -> None:
    from state.repair.recovery import recover

    aside = await recover(locations.index, damage)
    if aside:
        output.say(f"{damage}.\n  It was moved to {aside}; building a new one.")
