"""A recorder that dies, in a process of its own.

It resumes the home's thread, or makes it, and appends until it is killed; it says on stdout how
many of its items were acknowledged.
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
        files = list(home.rglob(f"rollout-*{id_}.jsonl"))
        if files and b"\n" not in files[0].read_bytes():  # killed before its first line was whole
            files.pop().unlink()
        if files:
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


def main() -> None:
    home, index, run, seconds, seed = sys.argv[1:]
    asyncio.run(_record(Path(home), Path(index), int(run), float(seconds), int(seed)))
