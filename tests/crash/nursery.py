"""Work that dies, in a process of its own.

A step is anything that a kill could come before or after: a commit, a backup, a rename, a removal,
a file opened for writing, a wait for PostgreSQL.
"""

import asyncio
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cli.arguments.locations import Locations
from cli.runtime.open_index import catch_up, with_index
from state.db.steps import Steps
from state.edit.archive import move_thread
from state.edit.fork import fork_thread
from state.edit.marks import set_marks
from state.edit.metadata import Changed, set_git_info, set_memory_mode, set_name
from state.edit.move_plan import Action
from state.edit.trash import chosen, empty_trash, groups_of, restore_threads, trash_of
from state.fleet.push.push import PushOptions, push
from state.fleet.reading.cache import CachedThread
from state.fleet.reading.pull import pull
from state.fleet.reading.rollouts import Copy
from state.fulltext.indexer import MESSAGES, fill_fulltext
from state.repair.backup import restore_backup
from state.repair.dump import read_dump, restore
from state.repair.reindex import reindex
from state.repair.repair import repair
from state.repair.vacuum import vacuum
from state.thread_index import ThreadIndex, open_index
from state.thread_store import ThreadStore
from state.turns.answers import TurnAnswers
from tests.samples.homes import thread_id
from tests.support.effort import is_full, seed
from tests.support.warm import Forked

DUMP: Final = "facts.txt"
"""The dump that ``restore`` takes, in the folder of the index."""
FLEET: Final = "fleet.txt"
"""The address of the fleet that ``push`` pushes into, in the folder of the index."""
_FILE_STEPS: Final = ("os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.utime")
_WRITING: Final = os.O_WRONLY | os.O_RDWR


async def _backfill(index: ThreadIndex) -> None:
    await index.backfill(batch_files=3)


async def _one_pass(index: ThreadIndex) -> None:
    index.beside = MESSAGES
    await _backfill(index)
    await _fill_said(index)


async def _fill_said(index: ThreadIndex) -> None:
    await fill_fulltext(index, batch_threads=3)


async def _sync(index: ThreadIndex) -> None:
    await index.catch_up()


async def _restore(index: ThreadIndex) -> None:
    with (index.database.path.parent / DUMP).open("rb", buffering=0) as file:
        await restore(index.database, index.home, read_dump(file))


MOVED: Final = thread_id(1)
"""The thread that is archived, unarchived and deleted."""
CHANGED: Final = thread_id(3)
"""The thread that is forked, named, described and marked."""


async def _push(index: ThreadIndex) -> None:
    address = (index.database.path.parent / FLEET).read_text()
    await push(index, address, PushOptions(most_in_batch=4))


async def _archive(index: ThreadIndex) -> None:
    await move_thread(index, MOVED, Action.ARCHIVE)


async def _unarchive(index: ThreadIndex) -> None:
    await move_thread(index, MOVED, Action.UNARCHIVE)


async def _delete(index: ThreadIndex) -> None:
    await move_thread(index, MOVED, Action.DELETE)


async def _purge(index: ThreadIndex) -> None:
    await move_thread(index, MOVED, Action.PURGE)


async def _put_back(index: ThreadIndex) -> None:
    folders = await trash_of(index)
    await restore_threads(index, [*groups_of(folders, chosen(folders, MOVED))])


async def _empty(index: ThreadIndex) -> None:
    await empty_trash(index, [each.delete_id for each in await trash_of(index)])


async def _fork(index: ThreadIndex) -> None:
    await fork_thread(index, CHANGED)


async def _rename(index: ThreadIndex) -> None:
    await set_name(index, CHANGED, "new name")


async def _describe(index: ThreadIndex) -> None:
    await set_git_info(index, CHANGED, {"sha": "new", "branch": None})
    await set_memory_mode(index, CHANGED, "disabled")


async def _mark(index: ThreadIndex) -> None:
    changes = {"tag:new": "1", "pinned": "1", "note": "new note"}
    (changed,) = (await set_marks(index, [CHANGED], changes)).values()
    assert isinstance(changed, Changed), changed


THERE: Final = "there"
"""The home that a thread is pulled from, in the folder of the index."""


async def _pull(index: ThreadIndex) -> None:
    """Bring the thread whose rollouts are in the other home."""
    there = index.database.path.parent / THERE
    paths = sorted((str(path.relative_to(there)) for path in there.rglob("*.jsonl")), reverse=True)
    own = tuple(path for path in paths if MOVED in path)
    others = tuple(path for path in paths if MOVED not in path)
    await pull(index, CachedThread(Copy(MOVED, 1, "desk", "me"), there, own, others))


def _opened(work: Callable[[ThreadIndex], Awaitable[None]]) -> Callable[[Path, Path], None]:
    def done(home: Path, path: Path) -> None:
        async def opened() -> None:
            async with open_index(home, path) as index:
                await work(index)

        asyncio.run(opened())

    return done


def _recover(home: Path, path: Path) -> None:
    with_index(Locations(home, path), catch_up)


async def _turns(index: ThreadIndex) -> None:
    """Ask for turns and outlines of all threads, and have the long ones stored."""
    store = ThreadStore(index)
    for id_ in await store.index.database.query(_ids()):
        await store.with_turns(id_, TurnAnswers.all_turns)
        row = (await index.rows_of([id_]))[id_]
        await store.turns.outline(id_, index.home / row["rollout_path"])
    await store.close()


def _ids() -> Steps[list[str]]:
    return [row[0] for row in (yield "SELECT id FROM threads ORDER BY id", [])]


WORKS: Final[dict[str, Callable[[Path, Path], object]]] = {
    "backfill": _opened(_backfill),
    "one pass": _opened(_one_pass),
    "sync": _opened(_sync),
    "search": _opened(_fill_said),
    "restore": _opened(_restore),
    "repair": lambda home, path: asyncio.run(repair(home, path, deep=True)),
    "reindex": lambda home, path: asyncio.run(reindex(home, path, batch_files=3)),
    "undo": lambda _, path: asyncio.run(restore_backup(path)),
    "recover": _recover,
    "archive": _opened(_archive),
    "unarchive": _opened(_unarchive),
    "delete": _opened(_delete),
    "purge": _opened(_purge),
    "put back": _opened(_put_back),
    "empty": _opened(_empty),
    "fork": _opened(_fork),
    "rename": _opened(_rename),
    "describe": _opened(_describe),
    "mark": _opened(_mark),
    "push": _opened(_push),
    "turns": _opened(_turns),
    "pull": _opened(_pull),
    "vacuum": lambda _, path: vacuum(path),
}


class _Steps:
    """Counts steps; dies before the one that it was told."""

    def __init__(self, fatal: int | None) -> None:
        self.done = 0
        self._fatal = fatal

    def step(self) -> None:
        if self.done == self._fatal:
            os._exit(9)
        self.done += 1

    def watch(self) -> None:
        """Have every step of this process counted."""
        steps = self

        class Watched(sqlite3.Connection):
            def execute(self, sql: str, *rest: Any) -> sqlite3.Cursor:
                if sql == "COMMIT":
                    steps.step()
                return super().execute(sql, *rest)

            def commit(self) -> None:
                if self.in_transaction:
                    steps.step()
                super().commit()

            def backup(self, *arguments: Any, **options: Any) -> None:
                steps.step()
                super().backup(*arguments, **options)
                steps.step()

        real: Any = sqlite3.connect
        sqlite3.connect = lambda *args, **options: real(*args, **{**options, "factory": Watched})

        def audit(event: str, arguments: tuple[Any, ...]) -> None:
            if event in _FILE_STEPS or (event == "open" and (arguments[2] or 0) & _WRITING):
                steps.step()

        sys.addaudithook(audit)

    def watch_fleet(self) -> None:
        """Have every wait for PostgreSQL counted, too."""
        import psycopg

        connection: Any = psycopg.AsyncConnection
        wait = connection.wait

        async def watched(*arguments: Any, **options: Any) -> Any:
            self.step()
            return await wait(*arguments, **options)

        connection.wait = watched


def main() -> None:
    """Do a piece of work, and say how many steps it took."""
    work, home, index, fatal, after_s = sys.argv[1:]
    # The default action of this signal ends a process as kill -9 does: no handler runs.
    signal.setitimer(signal.ITIMER_REAL, float(after_s))
    steps = _Steps(int(fatal) if fatal else None)
    steps.watch()
    if work == "push":
        steps.watch_fleet()
    try:
        WORKS[work](Path(home), Path(index))
    finally:
        print(steps.done)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended."""

    status: int
    steps: int | None
    """None if it was killed."""
    seconds: float


def run(
    work: str, home: Path, index: Path, *, fatal: int | None = None, after_s: float = 0.0
) -> Ended:
    """Do ``work`` in another process, which dies before its step ``fatal``, or ``after_s`` seconds
    after its start (0: never)."""
    words = (work, str(home), str(index), "" if fatal is None else str(fatal), str(after_s))
    began = time.monotonic()
    with Forked(*words, function=f"{__name__}:main", stdout=subprocess.PIPE) as process:
        told, _ = process.communicate()
    return Ended(process.returncode, int(told) if told else None, time.monotonic() - began)


Die = Callable[[int | None, float], Ended]
"""Does the work from its beginning: the step that it dies before, after how many seconds."""


def deaths(name: str, die: Die) -> Iterator[str]:
    """Have ``die`` work to its end, then die before its first step, its last, and one that the day
    chooses, and at a random moment: says each time when that was. A full run takes every step and
    more moments; ``THREADKEEP_CRASH_SEED`` is for the day that a run tells when it fails."""
    whole = die(None, 0.0)
    assert whole.status == 0
    yield "not killed"
    steps: Iterable[int] = itertools.count()
    if not is_full() and whole.steps:
        steps = sorted({0, seed() % whole.steps, whole.steps - 1})
    for step in steps:
        ended = die(step, 0.0)
        if ended.status == 0:
            break
        assert ended.status == 9, f"before step {step}, seed {seed()}"
        yield f"killed before step {step}, seed {seed()}"
    chance = random.Random(f"{name} {seed()}")
    for _ in range(3 if is_full() else 1):
        after_s = max(chance.uniform(0, whole.seconds), 1e-6)
        die(None, after_s)
        yield f"killed after {after_s:.6f} s, seed {seed()}"
