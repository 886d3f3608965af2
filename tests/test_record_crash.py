"""Recorders killed at any moment: every line that was acknowledged is there, once, in order."""

import asyncio
import os
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from rollout.persistence import MODES, PAGINATED
from rollout.replay import FileSource
from rollout.writer_lock import WriterLock
from state.threads import open_store

from .recording import thread

RUNS = 16
"""``THREADKEEP_RECORD_RUNS`` has more of them."""


def test_killed_recorders_lose_double_and_tear_nothing(home: Path, index_path: Path) -> None:
    seed = int(os.environ.get("THREADKEEP_CRASH_SEED", "1"))
    chance = random.Random(seed)
    acknowledged: dict[tuple[str, int], int] = {}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.recording", str(home), str(index_path)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    runs = int(os.environ.get("THREADKEEP_RECORD_RUNS", RUNS))
    for run in range(runs):
        after = chance.uniform(0, 0.12)
        print(run, after, chance.randrange(2**32), file=process.stdin, flush=True)
        while (line := process.stdout.readline()) != "end\n":
            mode, number = line.split()
            acknowledged[mode, run] = int(number)
        for mode in MODES:
            check(home, mode, acknowledged)
    process.communicate()
    assert len(acknowledged) > runs // 4
    assert {mode for mode, _ in acknowledged} == set(MODES)

    async def indexed() -> int:
        async with open_store(home, index_path) as store:
            await store.index.catch_up()
            return (await store.index.status()).threads

    assert asyncio.run(indexed()) == len(MODES)


def check(home: Path, mode: str, acknowledged: dict[tuple[str, int], int]) -> None:
    """What the file of a mode's thread must hold after each death."""
    WriterLock.acquire(home, thread(mode)).release()
    paths = list(home.rglob(f"rollout-*{thread(mode)}.jsonl"))
    if not paths:
        assert not any(of == mode for of, _ in acknowledged)
        return
    (path,) = paths
    items = list(FileSource(path).items())
    runs: dict[int, list[int]] = defaultdict(list)
    for _, item in items:
        payload = item["payload"]
        if "run" in payload:
            runs[payload["run"]].append(payload["n"])
    assert list(runs) == sorted(runs)
    for run, numbers in runs.items():
        assert numbers == list(range(len(numbers))), run
    for (of, run), number in acknowledged.items():
        assert of != mode or len(runs[run]) >= number
    if mode == PAGINATED:
        assert [item["ordinal"] for _, item in items] == list(range(len(items)))
