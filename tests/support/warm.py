"""Processes without their start: a process that has everything loaded forks them.

Each process that runs tests has one of its own, from when it needs it first. A child has the
arguments, the environment, the folder and the streams that it is given, as if it had been started;
only its Python does not begin from nothing. Tests that are about that start a program themselves.
"""

import array
import atexit
import gc
import importlib
import io
import json
import os
import pkgutil
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn

from tests import ROOT

_MAIN: Final = f"from {__name__} import main; main()"
"""Not ``-m``: the command would call itself by that name."""
_SCRIPT: Final = Path(sys.executable).with_name("threadkeep")
COMMAND: Final[tuple[str, ...]] = (
    (str(_SCRIPT),) if _SCRIPT.exists() else (sys.executable, "-P", "-m", "cli")
)
_NUMBER: Final = struct.Struct("i")
_MAIN_OF_COMMAND: Final = "cli.main:main"


class Forked(subprocess.Popen[Any]):
    """A process that runs ``module:function`` with these words in ``sys.argv``. Everything else is
    as in :class:`subprocess.Popen`, of whose options it takes those of the three streams, ``env``,
    ``cwd``, ``text`` and ``bufsize``."""

    def __init__(
        self,
        *words: str,
        function: str = _MAIN_OF_COMMAND,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self._function = function
        self._ended = -1
        super().__init__(list(words), env=env, **options)

    def _execute_child(self, args: list[str], *rest: Any) -> None:
        _, _, _, _, cwd, env, _, _, _, in_, in_there, out_there, out, err_there, err, *_ = rest
        streams = [own if fd == -1 else fd for own, fd in enumerate((in_, out, err))]
        order = {
            "function": self._function,
            "words": args,
            "environment": dict(os.environ if env is None else env),
            "cwd": os.fspath(cwd or os.getcwd()),
        }
        self._ended, there = os.pipe()
        try:
            _server().send(order, [*streams, there])
        finally:
            os.close(there)
            closing: Any = self
            closing._close_pipe_fds(in_, in_there, out_there, out, err_there, err)
        told = os.read(self._ended, _NUMBER.size)
        if not told:
            raise RuntimeError("The process that forks has ended: see what it wrote to stderr.")
        (self.pid,) = _NUMBER.unpack(told)
        self._child_created = True

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        return self._status(0)

    def _wait(self, timeout: float | None) -> int:
        status = self._status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def _status(self, timeout: float | None) -> int | None:
        with self._waitpid_lock:  # type: ignore[attr-defined]
            if self.returncode is None:
                with selectors.DefaultSelector() as selector:
                    selector.register(self._ended, selectors.EVENT_READ)
                    if not selector.select(timeout):
                        return None
                told = os.read(self._ended, _NUMBER.size)
                os.close(self._ended)
                self.returncode = _NUMBER.unpack(told)[0] if told else -signal.SIGKILL
            return self.returncode


def started(command: Sequence[str], **options: Any) -> "subprocess.Popen[Any]":
    """Start a program; instead of our own, a process is forked that has it loaded."""
    own = len(COMMAND)
    if tuple(command[:own]) == COMMAND and "pass_fds" not in options:
        return Forked(*command[own:], **options)
    return subprocess.Popen(command, **options)


class _Server:
    """The process that forks, as the tests' own process sees it."""

    def __init__(self) -> None:
        self._socket, there = socket.socketpair()
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _MAIN, str(there.fileno())],
                cwd=ROOT,
                env={**os.environ, "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[there.fileno()],
            )
        self._lock = threading.Lock()
        atexit.register(self.close)

    def send(self, order: dict[str, Any], descriptors: list[int]) -> None:
        """Have a child forked with these descriptors."""
        text = json.dumps(order).encode("utf-8", "surrogateescape")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        with self._lock:
            self._socket.sendmsg([_NUMBER.pack(len(text))], rights)
            self._socket.sendall(text)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


_starting: Final = threading.Lock()


def _server() -> _Server:
    with _starting:  # or several threads of a test would start one each
        return _only_server()


@cache
def _only_server() -> _Server:
    return _Server()


def program() -> None:
    """What a child runs for ``python -c``: its first word is a program, the others are for it."""
    text, sys.argv = sys.argv[1], ["-c", *sys.argv[2:]]
    exec(compile(text, "<string>", "exec"), {"__name__": "__main__"})


def run_program(text: str, /, *words: str, **options: Any) -> Forked:
    """Run a program as ``python -c`` does."""
    return Forked(text, *words, function=f"{__name__}:{program.__name__}", **options)


def _load() -> None:
    """Import everything, and run the most usual commands once: they import more."""
    for name in ("rollout", "state", "cli"):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith(".__main__"):
                importlib.import_module(module.name)
    from tests.support.indexes import migrated

    migrated()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sessions").mkdir()
        for words in (["list"], ["list", "--json"], ["search", "x"], ["verify"]):
            command = importlib.import_module("cli.main")
            sys.argv = [COMMAND[0], "--home", folder, "--db", f"{folder}/index.sqlite3", *words]
            with redirect_stderr(io.StringIO()), suppress(SystemExit):
                command.main()


def _serve(control: socket.socket) -> dict[str, Any]:
    """Fork a child for each order, and tell how it ended. Returns in the children."""
    awake, wake = socket.socketpair()
    for end in (awake, wake):
        end.setblocking(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    told: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        for end in (control, awake):
            selector.register(end, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in selector.select()]
            if awake in ready:
                awake.recv(4096)
                _tell_ends(told)
            if control in ready:
                size, descriptors, *_ = socket.recv_fds(control, _NUMBER.size, 4)
                if not size:
                    os._exit(0)
                text = bytearray()
                while len(text) < _NUMBER.unpack(size)[0]:
                    text += control.recv(_NUMBER.unpack(size)[0] - len(text))
                order = json.loads(text.decode("utf-8", "surrogateescape"))
                importlib.import_module(order["function"].split(":")[0])
                pid = os.fork()
                if not pid:
                    return {**order, "descriptors": descriptors}
                for descriptor in descriptors[:3]:
                    os.close(descriptor)
                told[pid] = descriptors[3]
                os.write(descriptors[3], _NUMBER.pack(pid))


def _tell_ends(told: dict[int, int]) -> None:
    while told:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        descriptor = told.pop(pid)
        with suppress(BrokenPipeError):  # nobody waits for it
            os.write(descriptor, _NUMBER.pack(os.waitstatus_to_exitcode(status)))
        os.close(descriptor)


_replaced: Final[list[object]] = []
"""Streams that were closed under their objects: Python 3.13 complains when such an object ends."""


def _become(order: dict[str, Any]) -> None:
    """Make this process one that has just been started."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for own, descriptor in enumerate(order["descriptors"][:3]):
        os.dup2(descriptor, own)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    _replaced.extend((sys.stdin, sys.stdout, sys.stderr))
    sys.stdin = _stream(0, "rb", errors="surrogateescape")
    sys.stdout = _stream(1, "wb", errors="surrogateescape", newline="\n")
    sys.stderr = _stream(2, "wb", errors="backslashreplace", newline="\n")
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    os.chdir(order["cwd"])
    sys.argv = [COMMAND[0], *order["words"]]


def _stream(descriptor: int, mode: str, **options: Any) -> io.TextIOWrapper:
    """A standard stream as Python makes it in a locale with UTF-8."""
    binary: Any = open(descriptor, mode, closefd=False)  # noqa: SIM115 - as long as the process is
    by_line = descriptor == 2 or binary.isatty()
    return io.TextIOWrapper(binary, "utf-8", line_buffering=by_line, **options)


def _run(name: str) -> int:
    """Run a function: the status that Python would end with."""
    if name == _MAIN_OF_COMMAND:
        from state.db import database
        from tests.support.indexes import copying

        opening: Any = database
        opening._create_file = copying(database._create_file)
    module, function = name.split(":")
    try:
        getattr(importlib.import_module(module), function)()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001 - as Python tells what nobody has caught
        traceback.print_exc()
        return 1
    return 0


def _end(status: int) -> NoReturn:
    """End as Python does, but for freeing all that is loaded."""
    ending: Any = threading
    ending._shutdown()
    running: Any = atexit
    running._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = 120
    os._exit(status & 0xFF)


def main() -> NoReturn:
    """Be the process that forks; in the children, what was asked for."""
    control = socket.socket(fileno=int(sys.argv[1]))
    gc.disable()  # modules are no garbage
    _load()
    gc.freeze()  # else each child would copy all of this memory when it collects
    gc.enable()
    order = _serve(control)
    _become(order)
    _end(_run(order["function"]))
