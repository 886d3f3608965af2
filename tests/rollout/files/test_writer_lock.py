"""One live writer a thread, whoever it is; nothing stays locked behind one that is gone."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rollout.errors import WriterActive
from rollout.files import writer_lock
from rollout.files.writer_lock import LOCKS, WriterBarrier, WriterLock
from tests.samples.homes import thread_id
from tests.support.warm import run_program

ID = thread_id(1)
HOLD = (
    "import sys\n"
    "from pathlib import Path\n"
    "from rollout.files.writer_lock import WriterLock\n"
    "lock = WriterLock.acquire(Path(sys.argv[1]), sys.argv[2])\n"
    "print('held', flush=True)\n"
    "sys.stdin.read()\n"
)


def holder(home: Path) -> "subprocess.Popen[str]":
    """Another process that holds the lock until its stdin ends."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = run_program(HOLD, str(home), ID, text=True, **pipes)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def files(home: Path) -> list[str]:
    """What is in the folder of the locks."""
    return sorted(os.listdir(home / LOCKS))


def test_a_second_writer_in_this_process_is_refused(home: Path) -> None:
    with WriterLock.acquire(home, ID):
        assert files(home) == [".coordination.lock", f"{ID}.lock"]
        with pytest.raises(WriterActive) as refused:
            WriterLock.acquire(home, ID)
        assert refused.value.thread_id == ID
        WriterLock.acquire(home, thread_id(2)).release()
        with pytest.raises(WriterActive):
            WriterLock.acquire(home, ID)
    assert files(home) == [".coordination.lock"]
    lock = WriterLock.acquire(home, ID)
    lock.release()
    lock.release()


def test_a_barrier_holds_off_new_writers_and_names_those_there_are(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_lock, "_PATIENCE_S", 0.01)
    process = holder(home)
    (home / LOCKS / f"{thread_id(2)}.lock").touch()  # as a killed process leaves it
    with WriterBarrier.acquire(home) as barrier:
        written = barrier.writers([ID, thread_id(2), thread_id(3)])
        assert [*written] == [ID]
        assert f"pid {process.pid}" in str(written[ID])
        for taken in (
            lambda: WriterLock.acquire(home, thread_id(3)),
            lambda: barrier.acquire(home),
        ):
            with pytest.raises(WriterActive):
                taken()
    assert files(home) == [".coordination.lock", f"{ID}.lock"]
    WriterLock.acquire(home, thread_id(3)).release()
    process.communicate()


def test_another_process_is_named_and_its_death_frees_the_thread(home: Path) -> None:
    process = holder(home)
    with pytest.raises(WriterActive) as refused:
        WriterLock.acquire(home, ID)
    if sys.platform == "linux":
        assert refused.value.holder
        assert refused.value.holder.startswith(f"pid {process.pid} (")
        assert Path(sys.executable).name in refused.value.holder
        assert refused.value.holder in str(refused.value)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert f"{ID}.lock" in files(home)
    WriterLock.acquire(home, ID).release()
    assert files(home) == [".coordination.lock"]


def test_threads_never_hold_the_same_lock(home: Path) -> None:
    inside, most, taken = 0, 0, 0
    counting = threading.Lock()

    def work() -> None:
        nonlocal inside, most, taken
        for _ in range(50):
            try:
                lock = WriterLock.acquire(home, ID)
            except WriterActive:
                continue
            with counting:
                inside, taken = inside + 1, taken + 1
                most = max(most, inside)
            with counting:
                inside -= 1
            lock.release()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert most == 1
    assert taken


def test_a_home_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / LOCKS).write_text("")
    with pytest.raises(FileExistsError):
        WriterLock.acquire(tmp_path, ID)
    with pytest.raises(FileNotFoundError):
        WriterLock.acquire(tmp_path / "nowhere", ID)
