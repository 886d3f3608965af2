"""Other people's programs that list and search rollouts, and how each is asked for some work.

Every program has a user folder of its own, with a copy of the home made of hard links. A method
that is not here is work that the program does not do.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from rollout.files.layout import parse_name
from tests.bench.app_server import Server
from tests.bench.measure import THREADKEEP, Cost, Failed, cpu_of, environment, run

LIMIT: Final = "50"
RARE: Final = "kumquatzeta"
"""What one thread says that :class:`Sample` chooses."""
_START_S: Final = 60
_HOLDS: Final = ("sessions", "archived_sessions")


@dataclass(frozen=True, slots=True)
class Sample:
    """A plain thread of a home, that is written to in every copy."""

    path: Path
    """Below the home."""
    id: str

    @classmethod
    def of(cls, home: Path) -> "Sample":
        """The middle one of the threads that a user began, in the form that all programs read.
        Raises Failed if there is none."""
        found = []
        for path in sorted(home.glob("sessions/**/rollout-*.jsonl")):
            with path.open("rb") as file:
                meta = json.loads(file.readline() or b"{}").get("payload", {})
            if meta.get("source") == "cli" and meta.get("history_mode", "legacy") == "legacy":
                found.append(path)
        if not found:
            raise Failed(f"{home} has no legacy thread of the command line")
        path = found[len(found) // 2]
        name = parse_name(path.name)
        assert name
        assert name.rollout_id
        return cls(path.relative_to(home), name.rollout_id)

    def add(self, home: Path, text: str) -> None:
        """Append a message of the user. The first time, the file stops to be a hard link."""
        path = home / self.path
        if path.stat().st_nlink > 1:
            own = path.with_suffix(".own")
            shutil.copy2(path, own)
            own.replace(path)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        with path.open("a") as file:
            for kind, payload in (
                ("response_item", item),
                ("event_msg", {"type": "user_message", "message": text}),
            ):
                file.write(json.dumps({"timestamp": stamp, "type": kind, "payload": payload}))
                file.write("\n")


class Program:
    """A program, and its own copy of the home."""

    name: ClassVar[str]
    variable: ClassVar[str] = ""
    """The environment variable that says where it is."""
    usual: ClassVar[str] = ""
    """Its usual name."""

    def __init__(self, command: Sequence[str], user: Path, home: Path) -> None:
        self.command = command
        self.user = user
        self.home = user / ".codex"
        shutil.copytree(home, self.home, copy_function=os.link)
        self.env = environment(HOME=str(user), CODEX_HOME=str(self.home))

    @classmethod
    def found(cls) -> tuple[str, ...]:
        """The command that starts it, or nothing."""
        place = os.environ.get(cls.variable) or shutil.which(cls.usual)
        return (place,) if place else ()

    def version(self) -> str:
        """What it says of itself."""
        command = [*self.command, "--version"]
        told = subprocess.run(command, env=self.env, capture_output=True, text=True, check=True)
        return told.stdout.splitlines()[0]

    def reset(self) -> None:
        """Take away all that it has stored."""
        for path in [*self.user.iterdir(), *self.home.iterdir()]:
            if path.is_dir() and path != self.home and path.name not in _HOLDS:
                shutil.rmtree(path)
            elif path.is_file() and path.suffix in (".sqlite", ".sqlite-wal", ".sqlite-shm"):
                path.unlink()

    def start(self) -> None:
        """Start what has to run beside the commands."""

    def stop(self) -> None:
        """Stop it again."""

    def run(self, *arguments: str, expect: str = "", patience_s: float = 600) -> Cost:
        """Run one command of it."""
        command = [*self.command, *arguments]
        return run(command, self.env, expect=expect, patience_s=patience_s)

    def index(self, patience_s: float) -> Cost | None:
        """A complete index, with full text, from nothing."""
        return None

    def again(self) -> Cost | None:
        """The same, when nothing has changed."""
        return None

    def appended(self, text: str, expect: str) -> Cost | None:
        """Find a text that was just appended."""
        return None

    def list(self) -> Cost | None:
        """The newest threads."""
        return None

    def search(self, word: str, expect: str = "") -> Cost | None:
        """The threads with a word."""
        return None

    def usage(self) -> Cost | None:
        """Tokens by day."""
        return None


class Threadkeep(Program):
    """This program."""

    name = "threadkeep"

    @classmethod
    def found(cls) -> tuple[str, ...]:
        return THREADKEEP

    def index(self, patience_s: float) -> Cost:
        cost = self.run("backfill", patience_s=patience_s)
        if json.loads(self._output("status", "--json"))["search"]["toIndex"]:
            raise Failed("backfill leaves text out of the index")
        return cost

    def _output(self, *arguments: str) -> str:
        command = [*self.command, *arguments]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=True)
        return done.stdout

    def again(self) -> Cost:
        return self.run("sync", expect="")

    def appended(self, text: str, expect: str) -> Cost:
        return self.search(text, expect)

    def list(self) -> Cost:
        return self.run("list", "--limit", LIMIT)

    def search(self, word: str, expect: str = "") -> Cost:
        return self.run("search", word, "--limit", LIMIT, expect=expect)

    def usage(self) -> Cost:
        return self.run("stats", "--by", "day", "--limit", "10000")


class Codex(Program):
    """The app-server of Codex: it has no command that lists."""

    name = "Codex"
    variable = "THREADKEEP_CODEX_BIN"

    def index(self, patience_s: float) -> Cost:
        """Its metadata: it has no index of texts."""
        return self._asked("thread/list", {"useStateDbOnly": True})

    def appended(self, text: str, expect: str) -> Cost:
        return self.search(text, expect)

    def list(self) -> Cost:
        return self._asked("thread/list", {})

    def search(self, word: str, expect: str = "") -> Cost:
        return self._asked("thread/search", {"searchTerm": word}, expect)

    def _asked(self, method: str, params: dict[str, Any], expect: str = "") -> Cost:
        server = Server([*self.command, "app-server"], self.env)
        server.initialize()
        answer = server.ask(method, {"limit": int(LIMIT), "modelProviders": [], **params})[1]
        cost = server.end()
        if expect not in json.dumps(answer):
            raise Failed(f"{method} does not find {expect}")
        return cost


class FastResume(Program):
    """fast-resume: each command first looks for changes."""

    name = "fast-resume"
    variable = "THREADKEEP_FAST_RESUME"
    usual = "fast-resume"

    def index(self, patience_s: float) -> Cost | None:
        return self.run("--json", "--limit", "1", "--rebuild", patience_s=patience_s)

    def again(self) -> Cost | None:
        return self.run("--json", "--limit", "1")

    def appended(self, text: str, expect: str) -> Cost | None:
        return self.search(text, expect)

    def list(self) -> Cost:
        return self.run("--list", "--limit", LIMIT)

    def search(self, word: str, expect: str = "") -> Cost:
        return self.run("--json", "--limit", LIMIT, word, expect=expect)


class FastResumeAsItIs(FastResume):
    """The same without the look, on an index that the other has made for it."""

    name = "fast-resume --no-refresh"

    def index(self, patience_s: float) -> None:
        """Not shown: it is made as the other one's."""
        super().index(patience_s)

    def again(self) -> None:
        return None

    def appended(self, text: str, expect: str) -> None:
        return None

    def run(self, *arguments: str, expect: str = "", patience_s: float = 600) -> Cost:
        looks = () if "--rebuild" in arguments else ("--no-refresh",)
        return super().run(*looks, *arguments, expect=expect, patience_s=patience_s)


class AgentsView(Program):
    """agentsview: lists, searches and usage come from its server; its index from a single run."""

    name = "agentsview"
    variable = "THREADKEEP_AGENTSVIEW"
    usual = "agentsview"
    _ALL: Final = ("--include-one-shot", "--include-automated")
    """Without ``--include-children``: on 4,000 threads its server gives up that list after 30 s."""

    def __init__(self, command: Sequence[str], user: Path, home: Path) -> None:
        super().__init__(command, user, home)
        self._server: subprocess.Popen[bytes] | None = None
        self._appended = ("", "")

    def start(self) -> None:
        options = ("--no-browser", "--no-update-check", "--port", "0")
        command = [*self.command, "serve", *options]
        quiet = subprocess.DEVNULL
        self._server = subprocess.Popen(command, env=self.env, stdout=quiet, stderr=quiet)
        until = time.perf_counter() + _START_S
        while self._server.poll() is None and time.perf_counter() < until:
            try:
                self.list()
            except Failed:
                time.sleep(0.1)
                continue
            if self._appended[0]:
                self.search(*self._appended)
            return
        raise Failed("agentsview's server does not answer")

    def stop(self) -> None:
        if self._server:
            self._server.terminate()
            self._server.wait()
            self._server = None

    def run(self, *arguments: str, expect: str = "", patience_s: float = 600) -> Cost:
        """With what its server has used meanwhile."""
        before = cpu_of(self._server.pid) if self._server else 0
        cost = super().run(*arguments, expect=expect, patience_s=patience_s)
        after = cpu_of(self._server.pid) if self._server else 0
        return cost + Cost(0, after - before)

    def index(self, patience_s: float) -> Cost:
        self._appended = ("", "")
        return self._sync(patience_s)

    def again(self) -> Cost:
        return self._sync()

    def appended(self, text: str, expect: str) -> Cost:
        """Its index afterwards; the search follows when its server has been started."""
        self._appended = (text, expect)
        return self._sync()

    def _sync(self, patience_s: float = 600) -> Cost:
        env = {**self.env, "AGENTSVIEW_NO_DAEMON": "1"}
        return run([*self.command, "sync"], env, patience_s=patience_s)

    def list(self) -> Cost:
        return self.run("session", "list", "--limit", LIMIT, *self._ALL)

    def search(self, word: str, expect: str = "") -> Cost:
        options = ("--fts", "--json", "--limit", LIMIT, *self._ALL)
        return self.run("session", "search", *options, word, expect=expect)

    def usage(self) -> Cost:
        return self.run("usage", "daily", "--all", "--offline", "--agent", "codex")


class CCUsage(Program):
    """ccusage: it reads all files each time."""

    name = "ccusage"
    variable = "THREADKEEP_CCUSAGE"
    usual = "ccusage"

    def usage(self) -> Cost:
        return self.run("codex", "daily", "--offline")


class RipGrep(Program):
    """ripgrep: it finds any text in the files, also what is no message."""

    name = "ripgrep"
    variable = "THREADKEEP_RG"
    usual = "rg"

    def search(self, word: str, expect: str = "") -> Cost:
        options = ("--no-config", "--no-ignore", "--hidden", "-l", "-i", "-F")
        return self.run(*options, word, str(self.home), expect=expect)


PEERS: Final = (Codex, FastResume, FastResumeAsItIs, AgentsView, CCUsage, RipGrep)


def programs(folder: Path, home: Path, names: Sequence[str]) -> list[Program]:
    """Threadkeep, and of the others those that are installed and, if any are named, named."""
    found: list[Program] = []
    for kind in (Threadkeep, *PEERS):
        wanted = kind is Threadkeep or not names or kind.name in names
        if wanted and (command := kind.found()):
            found.append(kind(command, folder / kind.name.replace(" ", ""), home))
    return found
