"""Worker processes from their start, when Ctrl-C is for the parent alone, to their end."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from state.jobs import pool as pools
from state.jobs.worker_process import interrupts_held


def _next(number: int) -> int:
    return number + 1


def test_a_worker_is_not_interrupted_while_it_starts(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    pools.warn_once.cache_clear()
    pool = pools.worker_pool()
    assert pool is not None
    with pool:
        future = pool.submit(_next, 1)
        while not future.done():
            for worker in multiprocessing.active_children():
                os.kill(worker.pid or 0, signal.SIGINT)
            time.sleep(0.001)
        assert future.result() == 2
    assert (caplog.text, capfd.readouterr().err) == ("", "")


def test_an_interrupt_meanwhile_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        os.kill(os.getpid(), signal.SIGINT)


_NO_FORKS = """
import os
os.register_at_fork(before=lambda: os._exit(1))
"""
_RUN = """
import os
from state.jobs.pool import worker_pool
os.cpu_count = lambda: 2
with worker_pool("no_forks") as pool:
    print([*pool.map(abs, [-1, -2, -3])])
"""


def test_work_is_done_here_where_no_process_can_be_forked(tmp_path: Path) -> None:
    (tmp_path / "no_forks.py").write_text(_NO_FORKS)
    ran = subprocess.run(
        [sys.executable, "-c", _RUN],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path.cwd()}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.returncode) == ("[1, 2, 3]\n", 0)
    assert "continuing without them" in ran.stderr


def _slowly(_: str, items: Sequence[int]) -> list[int]:
    time.sleep(0.2)
    return [*items]


def test_no_thread_of_a_pool_outlives_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    before = set(threading.enumerate())

    async def fail() -> None:
        async with pools.ReadPool(tmp_path, __name__) as pool:
            pool.prepare(files=10_000)
            reading = asyncio.create_task(pool.map(_slowly, range(200)))
            await asyncio.sleep(0)  # so that it begins
            assert multiprocessing.active_children()
            reading.cancel()
            raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(fail())
    after = {each for each in threading.enumerate() if not each.daemon}
    assert after <= before
