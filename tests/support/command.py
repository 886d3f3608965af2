"""Runs the command as a person or a script does, in a process of its own; and small homes."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cli import errors
from cli.app import app
from cli.main import main
from rollout.errors import RolloutError
from state.db.location import index_path
from state.errors import StateError

_SCRIPT = Path(sys.executable).with_name("threadkeep")
COMMAND: tuple[str, ...] = (
    (str(_SCRIPT),) if _SCRIPT.exists() else (sys.executable, "-P", "-m", "cli")
)

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
        prefix: Sequence[str] = COMMAND,
        stdin: str = "",
    ) -> Ran:
        """Run it to its end: with exit ``status`` (None: any), and never with a traceback."""
        environment = self.environment(env)
        done = subprocess.run(
            [*prefix, *arguments],
            env=environment,
            cwd=cwd or self.base,
            input=stdin.encode(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in ran.err, ran.err
        assert status in (None, ran.status), (ran.status, ran.out[:2000], ran.err)
        return ran

    def run_each(
        self, commands: Sequence[Sequence[str]], *, status: int = 0, **options: Any
    ) -> list[Ran]:
        """Run several commands side by side, each to its end."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda one: self.run(*one, status=status, **options), commands))

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
        """Start it and come back at once."""
        return subprocess.Popen(
            [*COMMAND, *arguments], env=self.environment(), cwd=self.base, **options
        )

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
        prefix: Sequence[str] = COMMAND,
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


_WITHOUT_OVERRIDE = (
    "import ctypes, os, sys\n"
    "libc = ctypes.CDLL(None, use_errno=True)\n"
    "for capability in (1, 2):\n"  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    "    if libc.prctl(24, capability, 0, 0, 0): sys.exit('cannot')\n"  # PR_CAPBSET_DROP
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)


@pytest.fixture
def plain_user() -> tuple[str, ...]:
    """What to run the command with, so that permissions hold for it even if we are root."""
    if os.geteuid() != 0:
        return COMMAND
    prefix = (sys.executable, "-c", _WITHOUT_OVERRIDE, *COMMAND)
    if (
        sys.platform != "linux"
        or subprocess.run([*prefix, "--version"], check=False, capture_output=True).returncode
    ):
        pytest.skip("root cannot give up its rights here")
    return prefix
