"""Runs the command as a person or a script does, in a process of its own; and small homes."""

import contextlib
import ctypes
import io
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from cli import errors
from cli.app import app
from cli.main import main
from rollout.errors import RolloutError
from state.db.location import index_path
from state.errors import StateError
from tests.support.effort import PATIENCE_S
from tests.support.warm import COMMAND as COMMAND
from tests.support.warm import Forked, started

THREAD_KEYS = [
    "id",
    "environments",
    "extra",
    "sessionId",
    "forkedFromId",
    "attachedToThreadId",
    "parentThreadId",
    "preview",
    "ephemeral",
    "section",
    "sectionEnteredAt",
    "projectId",
    "historyMode",
    "modelProvider",
    "model",
    "reasoningEffort",
    "createdAt",
    "updatedAt",
    "recencyAt",
    "status",
    "path",
    "cwd",
    "cliVersion",
    "originator",
    "source",
    "canAcceptDirectInput",
    "threadSource",
    "agentNickname",
    "agentRole",
    "gitInfo",
    "name",
    "daybreakEnabled",
    "turns",
]
"""The keys of the app-server's ``Thread``."""


@dataclass(frozen=True)
class Ran:
    """What a run of the command left."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its stdout, which must be one JSON document and nothing else."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """The lines of its stdout."""
        return self.out.splitlines()


@dataclass(frozen=True)
class Cli:
    """The command for one home, with nothing of the person who runs the tests around it."""

    home: Path
    base: Path
    """Where the user's folder and the state folder of this run lie."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """More of the environment."""

    @property
    def index(self) -> Path:
        """Where the index of the home lies, as the environment has it."""
        named = self.extra.get("THREADKEEP_DB")
        return Path(named) if named else index_path(self.home, self.base / "state")

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The whole environment of a run."""
        user = self.base / "user"
        user.mkdir(parents=True, exist_ok=True)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(user),
            "XDG_STATE_HOME": str(self.base / "state"),
            "CODEX_HOME": str(self.home),
            **self.extra,
            **(more or {}),
        }

    def run(
        self,
        *arguments: str,
        status: int | None = 0,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        prefix: "Sequence[str] | Within" = COMMAND,
        stdin: str = "",
    ) -> Ran:
        """Run it to its end: with exit ``status`` (None: any), and never with a traceback."""
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with self.start(*arguments, env=env, cwd=cwd, prefix=prefix, **streams) as process:
            try:
                out, err = process.communicate(stdin.encode(), timeout=PATIENCE_S)
            except BaseException:
                process.kill()
                raise
        ran = Ran(process.returncode, out.decode(), err.decode())
        assert "Traceback" not in ran.err, ran.err
        assert status in (None, ran.status), (ran.status, ran.out[:2000], ran.err)
        return ran

    def run_each(
        self, commands: Sequence[Sequence[str]], *, status: int = 0, **options: Any
    ) -> list[Ran]:
        """Run several commands side by side, each to its end."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda one: self.run(*one, status=status, **options), commands))

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        prefix: "Sequence[str] | Within" = COMMAND,
        **options: Any,
    ) -> "subprocess.Popen[bytes]":
        """Start it and come back at once. A process is forked that has the command loaded, unless
        ``prefix`` names a program to be started with the arguments."""
        around: dict[str, Any] = {"env": self.environment(env), "cwd": cwd or self.base, **options}
        if isinstance(prefix, Within):
            words = (*prefix.words, *arguments)
            return Forked(*words, function=f"{__name__}:{prefix.function.__name__}", **around)
        return started([*prefix, *arguments], **around)

    def peak_memory(self, *arguments: str) -> int:
        """The most memory that a run of the command in a process of its own takes, in KB."""
        program = (
            "import resource, subprocess, sys\n"
            "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        return int(self.run(*arguments, prefix=[sys.executable, "-c", program, *COMMAND]).out)

    def ids(self, *arguments: str, status: int = 0, **options: Any) -> list[str]:
        """The ids that ``list`` gives, in order."""
        page = self.run("list", "--json", *arguments, status=status, **options).json
        return [thread["id"] for thread in page["data"]]


class Inside(Cli):
    """The command run inside this process, by the same ``main``: a twentieth of the time. For
    tests that are about what it says, where others start it as users do."""

    def run(
        self,
        *arguments: str,
        status: int | None = 0,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        prefix: "Sequence[str] | Within" = COMMAND,
        stdin: str = "",
    ) -> Ran:
        if prefix is not COMMAND:
            options: dict[str, Any] = {"env": env, "cwd": cwd, "prefix": prefix, "stdin": stdin}
            return super().run(*arguments, status=status, **options)
        before = dict(os.environ), os.getcwd(), sys.argv, sys.stdin
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
        try:
            os.environ.clear()
            os.environ.update(self.environment(env))
            os.chdir(cwd or self.base)
            sys.argv = [COMMAND[0], *arguments]
            with (
                io.TextIOWrapper(io.BytesIO(stdin.encode())) as sys.stdin,
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
                pytest.raises(SystemExit) as ended,
            ):
                main()
        finally:
            os.environ.clear()
            os.environ.update(before[0])
            os.chdir(before[1])
            sys.argv, sys.stdin = before[2:]
        texts = []
        for stream in (out, err):
            stream.flush()
            stream.seek(0)
            texts.append(stream.read())
        ran = Ran(int(ended.value.code or 0), *texts)
        assert status in (None, ran.status), (ran.status, ran.out[:2000], ran.err)
        return ran

    def run_each(
        self, commands: Sequence[Sequence[str]], *, status: int = 0, **options: Any
    ) -> list[Ran]:
        return [self.run(*one, status=status, **options) for one in commands]


def told_inside(home: Path, index: Path, *arguments: str) -> tuple[Any, str]:
    """The document that a command gives when it runs in this process, and what it says; its
    error's document if it fails. For many runs, where no start of a process is tested."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    places = ("--home", str(home), "--db", str(index))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app([*places, *arguments, "--json"], standalone_mode=False)
        except (RolloutError, StateError) as error:
            return errors.document(error), err.getvalue()
    out.seek(0)
    return json.load(out), err.getvalue()


def thread_id(number: int) -> str:
    """The id of a small home's thread; the first eight letters of all are the same."""
    return f"019a0000-{number:04x}-7000-8000-00000000{number:04x}"


def write_rollout(
    home: Path,
    number: int,
    text: str = "hello",
    *,
    cwd: str = "/w",
    source: Any = "cli",
    provider: str = "openai",
    archived: bool = False,
) -> Path:
    """Write a rollout as Codex does; threads of higher numbers are newer in every respect."""
    id_ = thread_id(number)
    seconds = 1_760_000_000 + number
    created = f"2026-10-15T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"
    name = f"rollout-{created[:19].replace(':', '-')}-{id_}.jsonl"
    folder = home / ("archived_sessions" if archived else "sessions/2026/10/15")
    folder.mkdir(parents=True, exist_ok=True)
    meta = {
        "id": id_,
        "timestamp": created,
        "cwd": cwd,
        "originator": "codex_cli_rs",
        "cli_version": "0.100.0",
        "source": source,
        "model_provider": provider,
    }
    payloads = (
        ("session_meta", meta),
        ("event_msg", {"type": "user_message", "message": text, "images": []}),
    )
    lines = [
        json.dumps({"timestamp": created, "type": kind, "payload": payload})
        for kind, payload in payloads
    ]
    path = folder / name
    path.write_text("".join(line + "\n" for line in lines), "utf-8")
    os.utime(path, ns=(seconds * 10**9, seconds * 10**9))
    return path


@dataclass(frozen=True)
class Within:
    """Runs the command in a process that a function of this module has changed before."""

    function: Callable[[], None]
    words: tuple[str, ...] = ()
    """What the function takes from the front of the arguments."""


def _in_removed_folder() -> None:
    os.rmdir(os.getcwd())
    main()


def _on_full_disk() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    main()


def _without_stdout() -> None:
    os.close(1)
    sys.stdout = None
    main()


def _with_files_of_at_most() -> None:
    size = int(sys.argv.pop(1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    main()


def _stopping_after_output() -> None:
    from cli.terminal import output

    end = output.end

    def end_and_stop() -> None:
        end()
        os.kill(os.getpid(), signal.SIGSTOP)

    output.end = end_and_stop
    main()


STOPPED_AFTER_OUTPUT: Final = Within(_stopping_after_output)
"""Runs the command so that it stops, as by SIGSTOP, when it has ended its output early."""
IN_REMOVED_FOLDER: Final = Within(_in_removed_folder)
"""Runs the command in a folder that is gone."""


ON_FULL_DISK: Final = Within(_on_full_disk)
"""Runs the command with a stdout that takes nothing."""
WITHOUT_STDOUT: Final = Within(_without_stdout)
"""Runs the command with its stdout closed, as Python begins then."""


def with_files_of_at_most(size: int) -> Within:
    """Runs the command so that no file of it grows beyond ``size`` bytes."""
    return Within(_with_files_of_at_most, (str(size),))


_OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_CAPABILITIES_3 = 0x20080522


def _without_override() -> None:
    """Give up the right to pass over permissions."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; the same of those over 31
    if libc.capget(header, sets):
        sys.exit("cannot")
    for number in range(3):
        sets[number] &= ~_OVERRIDES
    if libc.capset(header, sets):
        sys.exit("cannot")
    main()


@pytest.fixture
def plain_user(tmp_path: Path) -> Within:
    """What to run the command with, so that permissions hold for it even if we are root."""
    if os.geteuid() != 0:
        return Within(main)
    plain = Within(_without_override)
    if (
        sys.platform != "linux"
        or Cli(tmp_path, tmp_path).run("--version", status=None, prefix=plain).status
    ):
        pytest.skip("root cannot give up its rights here")
    return plain
