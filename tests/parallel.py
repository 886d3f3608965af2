"""Workers that run tests side by side: ``pytest --workers auto``.

Tests are imported and collected once, and the workers are forked from that process: where each of
four workers began from nothing, as those of pytest-xdist do, a tenth of what a run took went into
that. A file's tests are run by one worker, so that what they share is made once; who is done with a
file gets the next one.
"""

import atexit
import mmap
import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from _pytest.tmpdir import TempPathFactory

from tests.support import warm

_name: str | None = None
"""What this process is called, if it is a worker."""


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made once and used by all workers of a run."""
    base = factory.getbasetemp()
    return base.parent if _name else base


def main_process() -> int:
    """The process that ends when all workers have ended."""
    return os.getppid() if _name else os.getpid()


class Workers:
    """A plugin that has ``count`` workers run the tests."""

    def __init__(self, count: int, group: Callable[[pytest.Item], object]) -> None:
        self._count, self._group = count, group
        self._started = 0
        self._queue: deque[list[int]] = deque()
        self._running: dict[Connection, tuple[int, list[int]]] = {}
        """The process of each worker, and the tests that it has and has not finished."""
        self._stop = mmap.mmap(-1, 1)
        """Not 0 when no further test is to begin."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run all tests, instead of pytest's own loop."""
        if session.testsfailed or session.config.option.collectonly:
            return None  # pytest's loop tells so
        groups: dict[object, list[int]] = {}
        for number, item in enumerate(session.items):
            groups.setdefault(self._group(item), []).append(number)
        self._queue.extend(groups.values())
        try:
            for _ in range(min(self._count, len(groups))):
                self._fork(session)
            warm.workers_are_forked()
            while self._running:
                for connection in wait([*self._running]):
                    assert isinstance(connection, Connection)
                    self._hear(session, connection)
        finally:
            self._stop[0] = 1
            for connection, (pid, _) in self._running.items():
                connection.close()
                os.waitpid(pid, 0)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        return True

    def _fork(self, session: pytest.Session) -> None:
        base = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        ours, theirs = Pipe()
        name, self._started = f"w{self._started}", self._started + 1
        pid = os.fork()
        if not pid:
            for connection in (ours, *self._running):
                connection.close()
            _be_worker(session, name, base / name, theirs, self._stop)
        theirs.close()
        self._running[ours] = pid, []

    def _hear(self, session: pytest.Session, connection: Connection) -> None:
        hook = session.config.hook
        left = self._running[connection][1]
        kind, told = _received(connection)
        if not kind:
            self._end(session, connection)
            return
        if kind == "asks":
            given = self._queue.popleft() if self._queue else []
            left.extend(given)
            with suppress(BrokenPipeError):  # told next by the end of what it says
                connection.send(given)
        elif kind == "finished":
            left.remove(told)
        else:
            report = hook.pytest_report_from_serializable(config=session.config, data=told)
            # pytest tells by it that tests of several files run at once, as it does for xdist.
            gateway = SimpleNamespace(id=kind)
            report.node = SimpleNamespace(gateway=gateway, _workerinfocache=f"[{kind}]")
            hook.pytest_runtest_logreport(report=report)
        if session.shouldfail or session.shouldstop:
            self._stop[0] = 1

    def _end(self, session: pytest.Session, connection: Connection) -> None:
        """Have another worker do what one that has died did not, but for what it was at."""
        pid, left = self._running.pop(connection)
        connection.close()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if self._stop[0] or not status:
            return
        if not left:
            session.shouldfail = f"A worker ended with status {status}."
            return
        item = session.items[left[0]]
        text = f"The worker that ran this ended with status {status}."
        report = pytest.TestReport(item.nodeid, item.location, {}, "failed", text, "call")
        session.config.hook.pytest_runtest_logreport(report=report)
        if left[1:]:
            self._queue.appendleft(left[1:])
        self._fork(session)


def _received(connection: Connection) -> tuple[str, Any]:
    """What a worker says; nothing when it has ended."""
    try:
        kind, told = connection.recv()
    except (EOFError, ConnectionResetError):
        return "", None
    return kind, told


class _Telling:
    """Tells the main process what comes of the tests that run in this one."""

    def __init__(self, config: pytest.Config, connection: Connection, name: str) -> None:
        self._config, self._connection, self._name = config, connection, name

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        hook = self._config.hook
        data = hook.pytest_report_to_serializable(config=self._config, report=report)
        self._connection.send((self._name, data))


def _be_worker(
    session: pytest.Session, name: str, base: Path, connection: Connection, stop: mmap.mmap
) -> NoReturn:
    """Run tests as long as there are some, and end."""
    global _name
    _name = name
    atexit._clear()  # what the main process does when it ends
    status = 3
    try:
        warm.be_worker(int(name[1:]))
        config: Any = session.config
        config.option.basetemp = str(base)
        config._tmp_path_factory = TempPathFactory.from_config(config, _ispytest=True)
        capturing = config.pluginmanager.getplugin("capturemanager")
        capturing.stop_global_capturing()  # whose files are those of the main process
        capturing.start_global_capturing()
        capturing.suspend_global_capture()
        config.pluginmanager.unregister(name="terminalreporter")
        config.pluginmanager.register(_Telling(config, connection, name))
        try:
            _run(session, _numbers(connection), connection, stop)
        finally:
            session._setupstate.teardown_exact(None)
        connection.close()
        ending: Any = threading
        ending._shutdown()
        atexit._run_exitfuncs()
        status = 0
    except (KeyboardInterrupt, BrokenPipeError):  # the main process hears no more
        status = 2
    except BaseException:  # noqa: BLE001 - of pytest itself: the main process tells what was run
        traceback.print_exc()
    finally:
        os._exit(status)


def _numbers(connection: Connection) -> Iterator[int]:
    """The tests to run, which the main process gives out file by file."""
    while True:
        connection.send(("asks", None))
        if not (given := connection.recv()):
            return
        yield from given


def _run(
    session: pytest.Session, numbers: Iterator[int], connection: Connection, stop: mmap.mmap
) -> None:
    number = next(numbers, None)
    while number is not None and not stop[0]:
        following = next(numbers, None)  # what both need is not taken down between them
        session.config.hook.pytest_runtest_protocol(
            item=session.items[number],
            nextitem=None if following is None else session.items[following],
        )
        connection.send(("finished", number))
        number = following
