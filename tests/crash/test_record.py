"""Recorders killed at any moment: every line that was acknowledged is there, once, in order."""

import asyncio
import os
import random
import signal
import subprocess
from collections import defaultdict
from pathlib import Path

from rollout.files.writer_lock import WriterLock
from rollout.jsonl.sources import FileSource
from rollout.schema.modes import MODES, PAGINATED
from state.thread_store import open_store
from tests.crash.recording import RUNS_A_THREAD, thread
from tests.support.effort import is_full
from tests.support.warm import Forked


def test_killed_recorders_lose_double_and_tear_nothing(home: Path, index_path: Path) -> None:
    seed = int(os.environ.get("THREADKEEP_CRASH_SEED", "1"))
    chance = random.Random(seed)
    acknowledged: dict[tuple[str, int], int] = {}
    runs = RUNS_A_THREAD * (20 if is_full() else 1)
    longest = 0.12
    run = -1
    while (run := run + 1) < runs or (not_yet(acknowledged) and run < 5 * runs):
        after = chance.uniform(0, longest)
        words = home, index_path, run, after, chance.randrange(2**32)
        recorder = Forked(
            *map(str, words),
            function="tests.crash.recording:main",
            stdout=subprocess.PIPE,
            text=True,
        )
        said, _ = recorder.communicate()
        assert recorder.returncode == -signal.SIGALRM
        for line in said.splitlines():
            mode, number = line.split()
            acknowledged[mode, run] = int(number)
        if len(acknowledged) < run // 2 or (run > 5 and not_yet(acknowledged)):
            longest = min(1.5 * longest, 3)  # a slow machine needs longer to come to anything
        for mode in MODES:
            check(home, mode, run, acknowledged)
    assert len(acknowledged) > runs // 4
    assert not not_yet(acknowledged)

    async def indexed() -> int:
        async with open_store(home, index_path) as store:
            await store.index.catch_up()
            return (await store.index.status()).threads

    assert asyncio.run(indexed()) == len(list(home.rglob("rollout-*.jsonl")))


def not_yet(acknowledged: dict[tuple[str, int], int]) -> bool:
    """Whether nothing has been acknowledged of some mode."""
    return {mode for mode, _ in acknowledged} != set(MODES)


def check(home: Path, mode: str, last: int, acknowledged: dict[tuple[str, int], int]) -> None:
    """What the file of a mode's thread must hold after the death of run ``last``."""
    id_ = thread(mode, last)
    promised = {run: number for (of, run), number in acknowledged.items() if thread(of, run) == id_}
    WriterLock.acquire(home, id_).release()
    paths = list(home.rglob(f"rollout-*{id_}.jsonl"))
    if not paths:
        assert not promised
        return
    (path,) = paths
    items = [item for _, item in FileSource(path).items()]
    runs: dict[int, list[int]] = defaultdict(list)
    for item in items:
        if "run" in item["payload"]:
            runs[item["payload"]["run"]].append(item["payload"]["n"])
    assert list(runs) == sorted(runs)
    for run, numbers in runs.items():
        assert numbers == list(range(len(numbers))), run
    for run, number in promised.items():
        assert len(runs[run]) >= number, run
    if mode == PAGINATED:
        assert [item["ordinal"] for item in items] == list(range(len(items)))
