"""Has a real Codex do things offline, in a home of its own, and notes what it answers."""

import base64
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.codex.client import AppServer, NoAnswer
from tests.codex.facts.measure import rollout_files
from tests.codex.facts.shapes import Facts, add, empty, settled
from tests.codex.model.deeds import PIXEL
from tests.protocol.dialogue import OF_THE_MACHINE

PLAIN_MODEL: Final = "gpt-5.5"
"""A model that calls each tool by its name."""
_WITHIN: Final = 30.0  # seconds
_MCP = "[mcp_servers.echo]\ncommand = {command}\nargs = [{script}]\n"
_GIT = "git -c user.name=dev -c user.email=dev@example.invalid"
_PROJECT = f"""
git init -q -b main . && echo hello > README.md && {_GIT} add . && {_GIT} commit -qm one &&
git remote add origin https://example.invalid/demo.git && echo a change >> README.md
"""
_SKILL = "---\nname: demo\ndescription: Shows how\n---\nDo it so.\n"
_OF_THE_MOMENT = {
    f"notification {method}" for method in (*OF_THE_MACHINE, "mcpServer/startupStatus/updated")
}
"""What is said otherwise on another machine, or another time."""
_NOWHERE = "http://127.0.0.1:9"
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Failed(Exception):
    """A command of Codex ended with another status than 0."""


class Drive:
    """A Codex, its home, and the folder in which it works. Use it in a ``with``.

    Raises:
        OSError: ``folder`` cannot be written
        subprocess.CalledProcessError: there is no git
    """

    def __init__(self, binary: Path, folder: Path, config: str) -> None:
        self.binary = binary
        self.home, self.work, self._user = (folder / name for name in ("home", "work", "user"))
        for one in (self.home, self.work, self._user):
            one.mkdir(parents=True)
        mcp = _MCP.format(
            command=_quoted(sys.executable),
            script=_quoted(str(Path(__file__).with_name("mcp_server.py"))),
        )
        (self.home / "config.toml").write_text(config + mcp)
        subprocess.run(_PROJECT, shell=True, cwd=self.work, check=True, env=self.environment)
        self.skill = self.home / "skills" / "demo" / "SKILL.md"
        """What a user can name as a skill."""
        self.skill.parent.mkdir(parents=True)
        self.skill.write_text(_SKILL)
        (self.work / "px.png").write_bytes(base64.b64decode(PIXEL))
        self.threads: dict[str, str] = {}
        """The threads that have a rollout, by id: each is called after what left it."""
        self._answers = empty()
        self._server: AppServer | None = None

    def __enter__(self) -> "Drive":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.kill()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of each program: nothing of the person who runs this is in it, and no
        other machine is reached."""
        kept = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "TZ": "UTC"}
        places = {"HOME": self._user, "TMPDIR": self._user, "CODEX_HOME": self.home}
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), _NOWHERE)
        named = {name: str(place) for name, place in places.items()}
        return kept | named | proxies | {"NO_PROXY": "127.0.0.1"}

    @property
    def answers(self) -> Facts:
        """What its app-servers have said so far."""
        return settled(self._answers)

    @property
    def server(self) -> AppServer:
        """Its app-server, which is started if need be.

        Raises:
            Refused, NoAnswer: it did not shake hands
        """
        if self._server is None:
            command = [str(self.binary), "app-server", "--listen", "stdio://"]
            self._server = AppServer(
                command, self.work, self.environment, within=_WITHIN, heard=self.note
            )
        return self._server

    def note(self, what: str, content: Any) -> None:
        """Note what an app-server of this Codex has said."""
        if what not in _OF_THE_MOMENT:
            add(self._answers, what, content)

    @property
    def default_model(self) -> str:
        """The model that it uses if none is named.

        Raises:
            Refused, NoAnswer, LookupError: it does not say
        """
        for model in self.server.call("model/list")["data"]:
            if model["isDefault"]:
                return str(model["id"])
        raise LookupError("no model is the default")

    def close(self) -> None:
        """End its app-server in good order."""
        server, self._server = self._server, None
        if server:
            server.end()

    def kill(self) -> None:
        """End its app-server at once."""
        server, self._server = self._server, None
        if server:
            server.kill()

    def start(self, mode: str | None = None, **params: Any) -> str:
        """Begin a thread: its id.

        Raises:
            Refused, NoAnswer: it could not
        """
        given: dict[str, Any] = {
            "cwd": str(self.work),
            "approvalPolicy": "never",
            "sandbox": "danger-full-access",
            "model": PLAIN_MODEL,
            **params,
        }
        if mode:
            given["historyMode"] = mode
        return str(self.server.call("thread/start", **given)["thread"]["id"])

    def run(self, *arguments: str) -> str:
        """Run a command of Codex to its end: all that it says.

        Raises:
            Failed: it ended with a status
            NoAnswer: it did not end
        """
        try:
            done = subprocess.run(
                [self.binary, *arguments],
                env=self.environment,
                cwd=self.work,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_WITHIN,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NoAnswer(f"{arguments[0]} did not end within {_WITHIN:g} seconds") from None
        said = done.stdout.decode(errors="replace")
        if done.returncode:
            words = " ".join(said.split())[-300:]
            raise Failed(f"{arguments[0]} ended with status {done.returncode}: {words}")
        return said

    def execute(self, *arguments: str) -> str:
        """Do a turn by ``codex exec``: the id of the thread.

        Raises:
            Failed, NoAnswer: it did not end as it should
        """
        options = ("-m", PLAIN_MODEL, "-s", "danger-full-access")
        said = self.run("exec", *options, *arguments)
        found = re.search(r"session id: (\S+)", said)
        if found is None:
            raise Failed(f"exec names no session: {said[:300]}")
        return found[1]

    def rollouts(self, thread: str, ending: str = ".jsonl") -> list[Path]:
        """The files of a thread."""
        return sorted(self.home.glob(f"sessions/**/rollout-*{thread}*{ending}"))

    def name_threads(self, name: str) -> None:
        """Call the threads that are new ``name 1``, ``name 2``, …, in the order of their ids."""
        found = {_ID.findall(path.name)[0] for path in rollout_files(self.home)}
        for number, id_ in enumerate(sorted(found - self.threads.keys()), 1):
            self.threads[id_] = f"{name} {number}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
