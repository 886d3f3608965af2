"""Recorders that die: a process that has imported everything forks one child for each.

Run as ``python -m tests.crash.recording HOME INDEX``. It reads ``RUN SECONDS SEED`` from stdin,
one a line. The child resumes the home's thread, or makes it, and appends until it is killed; it
says on stdout how many of its items were acknowledged. When it is gone, ``end`` follows.
"""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

from rollout.schema.modes import MODES
from state.thread_store import open_store
from tests.samples.homes import thread_id
from tests.samples.talk import new_thread

RUNS_A_THREAD = 16


def thread(mode: str, run: int) -> str:
    """The thread of a mode that a run writes."""
    return thread_id(MODES.index(mode) + len(MODES) * (run // RUNS_A_THREAD))


async def _record(home: Path, index: Path, run: int, seconds: float, seed: int) -> None:
    chance = random.Random(seed)
    mode = MODES[run % len(MODES)]
    async with open_store(home, index) as store:
        # The default action of this signal ends a process as kill -9 does: no handler runs.
        signal.setitimer(signal.ITIMER_REAL, seconds)
        id_ = thread(mode, run)
        if any(home.rglob(f"rollout-*{id_}.jsonl")):
            await store.resume_thread(id_)
        else:
            await store.create_thread(new_thread(mode, id=id_))
            await store.persist_thread(id_)
        number = 0
        while True:
            for _ in range(chance.randrange(1, 15)):
                count = chance.randrange(1, 5)
                text = "ö" * chance.choice([0, 10, 100, 100, 1_000, 5_000])
                await store.append_items(
                    id_,
                    [
                        {"type": "response_item", "payload": {"run": run, "n": n, "text": text}}
                        for n in range(number, number + count)
                    ],
                )
                number += count
            await store.flush_thread(id_)
            os.write(1, f"{mode} {number}\n".encode())


async def _open(home: Path, index: Path) -> None:
    async with open_store(home, index):
        pass


def _serve(home: Path, index: Path) -> None:
    asyncio.run(_open(home, index))  # so that no child has to import anything
    for line in sys.stdin:
        run, seconds, seed = line.split()
        pid = os.fork()
        if not pid:
            asyncio.run(_record(home, index, int(run), float(seconds), int(seed)))
            os._exit(1)
        os.waitpid(pid, 0)
        os.write(1, b"end\n")


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), Path(sys.argv[2]))
