"""Work that dies: a process that has imported everything forks one child for each piece.

Run as ``python -m tests.crash.nursery``. It reads one JSON object a line from stdin and answers
with the exit status, the number of steps and the seconds when the child is gone. A step is
anything that a kill could come before or after: a commit, a backup, a rename, a removal, a file
opened for writing.
"""

import asyncio
import gc
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from cli.arguments.locations import Locations
from cli.runtime.open_index import catch_up, with_index
from state.db.steps import Steps
from state.edit.archive import move_thread
from state.edit.fork import fork_thread
from state.edit.metadata import set_git_info, set_memory_mode, set_name
from state.edit.move_plan import Action
from state.fulltext.indexer import fill_fulltext
from state.repair.backup import restore_backup
from state.repair.dump import read_dump, restore
from state.repair.reindex import reindex
from state.repair.repair import repair
from state.repair.vacuum import vacuum
from state.thread_index import ThreadIndex, open_index
from state.thread_store import ThreadStore
from state.turns.answers import TurnAnswers
from tests import ROOT
from tests.samples.homes import thread_id

DUMP: Final = "facts.txt"
"""The dump that ``restore`` takes, in the folder of the index."""
_FILE_STEPS: Final = ("os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.utime")
_WRITING: Final = os.O_WRONLY | os.O_RDWR


async def _backfill(index: ThreadIndex) -> None:
    await index.backfill(batch_files=3)


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
"""The thread that is forked, named and described."""


async def _archive(index: ThreadIndex) -> None:
    await move_thread(index, MOVED, Action.ARCHIVE)


async def _unarchive(index: ThreadIndex) -> None:
    await move_thread(index, MOVED, Action.UNARCHIVE)


async def _delete(index: ThreadIndex) -> None:
    await move_thread(index, MOVED, Action.DELETE)


async def _purge(index: ThreadIndex) -> None:
    await move_thread(index, MOVED, Action.PURGE)


async def _fork(index: ThreadIndex) -> None:
    await fork_thread(index, CHANGED)


async def _rename(index: ThreadIndex) -> None:
    await set_name(index, CHANGED, "new name")


async def _describe(index: ThreadIndex) -> None:
    await set_git_info(index, CHANGED, {"sha": "new", "branch": None})
    await set_memory_mode(index, CHANGED, "disabled")


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
    """Ask for the turns of all threads, and have the long ones stored."""
    store = ThreadStore(index)
    for id_ in await store.index.database.query(_ids()):
        await store.with_turns(id_, TurnAnswers.all_turns)
    await store.close()


def _ids() -> Steps[list[str]]:
    return [row[0] for row in (yield "SELECT id FROM threads ORDER BY id", [])]


WORKS: Final[dict[str, Callable[[Path, Path], object]]] = {
    "backfill": _opened(_backfill),
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
    "fork": _opened(_fork),
    "rename": _opened(_rename),
    "describe": _opened(_describe),
    "turns": _opened(_turns),
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


def _child(order: dict[str, Any], report: int) -> int:
    home, path = Path(order["home"]), Path(order["index"])
    steps = _Steps(order["fatal"])
    steps.watch()
    try:
        WORKS[order["work"]](home, path)
    except BaseException:  # noqa: BLE001 - it is told, and this process ends
        traceback.print_exc()
        return 1
    else:
        return 0
    finally:
        os.write(report, str(steps.done).encode())


def _serve() -> None:
    with tempfile.TemporaryDirectory() as folder:  # so that no child has to import anything
        Path(folder, "sessions").mkdir()
        WORKS["sync"](Path(folder), Path(folder, "index.sqlite3"))
    gc.collect()
    gc.freeze()  # else each child would copy all of this memory when it collects
    for line in sys.stdin:
        order = json.loads(line)
        inner, outer = os.pipe()
        pid = os.fork()
        if not pid:
            # The default action of this signal ends a process as kill -9 does: no handler runs.
            signal.setitimer(signal.ITIMER_REAL, order["after_s"])
            os._exit(_child(order, outer))
        os.close(outer)
        began = time.monotonic()
        _, status = os.waitpid(pid, 0)
        took = time.monotonic() - began
        with open(inner, "rb") as pipe:
            steps = pipe.read().decode()
        told = [os.waitstatus_to_exitcode(status), int(steps) if steps else None, took]
        print(json.dumps(told), flush=True)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended."""

    status: int
    steps: int | None
    """None if it was killed."""
    seconds: float


class Nursery:
    """Runs pieces of work in children, one at a time. Use it in a ``with``."""

    def __enter__(self) -> "Nursery":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(
        self,
        work: str,
        home: Path,
        index: Path,
        *,
        fatal: int | None = None,
        after_s: float = 0.0,
    ) -> Ended:
        """Do ``work``; the child dies before its step ``fatal``, or ``after_s`` seconds after its
        start (0: never)."""
        assert self._process.stdin
        assert self._process.stdout
        places = {"home": str(home), "index": str(index)}
        order = {"work": work, **places, "fatal": fatal, "after_s": after_s}
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return Ended(*json.loads(self._process.stdout.readline()))


Die = Callable[[int | None, float], Ended]
"""Does the work from its beginning: the step that it dies before, after how many seconds."""


def deaths(name: str, die: Die) -> Iterator[str]:
    """Have ``die`` work to its end, then die before every fifth step, from one that the day
    chooses, and at three random moments: says each time when that was.
    ``THREADKEEP_CRASH_STRIDE``, ``_MOMENTS`` and ``_SEED`` choose others."""
    whole = die(None, 0.0)
    assert whole.status == 0
    yield "not killed"
    seed = int(os.environ.get("THREADKEEP_CRASH_SEED") or date.today().toordinal())
    stride = int(os.environ.get("THREADKEEP_CRASH_STRIDE", "5"))
    for step in itertools.count(seed % stride, stride):
        ended = die(step, 0.0)
        if ended.status == 0:
            break
        assert ended.status == 9, f"before step {step}, seed {seed}"
        yield f"killed before step {step}, seed {seed}"
    chance = random.Random(f"{name} {seed}")
    for _ in range(int(os.environ.get("THREADKEEP_CRASH_MOMENTS", "3"))):
        after_s = max(chance.uniform(0, whole.seconds), 1e-6)
        die(None, after_s)
        yield f"killed after {after_s:.6f} s, seed {seed}"


if __name__ == "__main__":
    _serve()
