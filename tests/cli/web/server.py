"""The command in a process of its own, and what is said to it on plain sockets."""

import http.client
import re
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from email.message import Message
from types import TracebackType
from typing import Any, NamedTuple

from tests.support.command import COMMAND, Cli, Within
from tests.support.effort import PATIENCE_S


class Answer(NamedTuple):
    """What a server answers."""

    status: int
    headers: Message
    text: str


class Server:
    """``threadkeep web``. Use it in a ``with``: one that goes on at the end is ended."""

    def __init__(
        self,
        cli: Cli,
        *options: str,
        env: Mapping[str, str] | None = None,
        opens: bool = False,
        prefix: "Sequence[str] | Within" = COMMAND,
    ) -> None:
        words = ("web", *(() if opens else ("--no-open",)), *options)
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = cli.start(
            *words, env=env, stdin=subprocess.DEVNULL, prefix=prefix, **streams
        )
        assert self.process.stdout
        self.address = self.process.stdout.readline().decode().strip()
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]+)", self.address)
        if not found:
            self.process.kill()
        assert found, self.address
        self.port, self.token = int(found[1]), found[2]
        self.cookie = ""

    @property
    def headers(self) -> dict[str, str]:
        """What a browser that came in sends."""
        if not self.cookie:
            answer = self.get(f"/?token={self.token}", headers={})
            self.cookie = str(answer.headers["set-cookie"]).partition(";")[0]
        return {"cookie": self.cookie, "sec-fetch-site": "same-origin"}

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer to a request."""
        given = self.headers if headers is None else headers
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with closing(connection):
            connection.request("GET", path, headers=dict(given))
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode())

    def connect(self, path: str, *, receives: int | None = None) -> socket.socket:
        """A socket on which a page is asked for, and nothing is read yet. ``receives`` is how many
        bytes the system may take for it meanwhile."""
        connection = socket.socket()
        if receives is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        connection.settimeout(PATIENCE_S)
        connection.connect(("127.0.0.1", self.port))
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        host = f"127.0.0.1:{self.port}"
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n".encode())
        return connection

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Send a signal, and wait: the exit status, and what it said."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, err.decode()

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
