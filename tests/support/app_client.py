"""A client of an app-server, over its standard input and output or a socket."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tests.protocol.schemas import conforms
from tests.support.command import Cli
from tests.support.effort import PATIENCE_S

CLIENT = {"name": "threadkeep-tests", "version": "1"}


def soon(true: Callable[[], object]) -> None:
    """Wait until it is true, which it must be within a few seconds."""
    until = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


class Client:
    """Sends requests, one after the other, and keeps the notifications that come meanwhile."""

    def __init__(
        self,
        reader: "IO[bytes]",
        writer: "IO[bytes]",
        connection: socket.socket | None = None,
    ) -> None:
        self._reader, self._writer = reader, writer
        self.connection = connection
        self._count = 0
        self.told: list[dict[str, Any]] = []
        """Notifications, in the order in which they came."""

    def close(self) -> None:
        """Be gone."""
        for one in (self._writer, self._reader, self.connection):
            with suppress(OSError):  # of what the server has not read, if it is gone
                if one:
                    one.close()

    def send(self, line: bytes) -> None:
        """Send a line as it is."""
        self._writer.write(line + b"\n")
        self._writer.flush()

    def ask(self, method: str, **params: Any) -> int:
        """Send a request: its id."""
        self._count += 1
        request = {"id": self._count, "method": method, "params": params}
        self.send(json.dumps(request).encode())
        return self._count

    def answer(self, id_: int | None) -> dict[str, Any]:
        """The message that answers a request; others that come before it are forgotten."""
        while True:
            message = self.next()
            if "method" in message:
                conforms(message["method"], message["params"])
                self.told.append(message)
            elif message["id"] == id_:
                if id_ is not None:  # Codex never answers what has no id
                    conforms("response" if "result" in message else "refusal", message)
                return message

    def next(self) -> dict[str, Any]:
        """The next message."""
        line = self._reader.readline()
        assert line, "the server has ended"
        message: dict[str, Any] = json.loads(line)
        return message

    def call(self, method: str, **params: Any) -> Any:
        """The result of a request, which must have one."""
        message = self.answer(self.ask(method, **params))
        assert "result" in message, message
        if not method.startswith("threadkeep/"):
            conforms(method, message["result"])
        return message["result"]

    def fail(self, method: str, **params: Any) -> dict[str, Any]:
        """The error of a request, which must have one."""
        error: dict[str, Any] = self.answer(self.ask(method, **params))["error"]
        return error

    def begin(self, *, experimental: bool = True) -> "Client":
        """Shake hands."""
        capabilities = {"experimentalApi": experimental}
        self.call("initialize", clientInfo=CLIENT, capabilities=capabilities)
        self.send(b'{"method":"initialized"}')
        return self

    def methods(self) -> list[str]:
        """What it was told since this was asked last."""
        self.call("thread/loaded/list")  # what comes after the last answer comes before this one
        told, self.told = self.told, []
        return [message["method"] for message in told]

    def until(self, method: str) -> dict[str, Any]:
        """The parameters of the next notification of this kind."""
        while not any(message["method"] == method for message in self.told):
            message = self.next()
            if "method" in message:
                self.told.append(message)
        found = next(message for message in self.told if message["method"] == method)
        self.told.remove(found)
        params: dict[str, Any] = found["params"]
        return params


class Server:
    """A server in a process of its own. Use it in a ``with``."""

    def __init__(self, cli: Cli, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.process = cli.start(
            "app-server",
            *options,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._clients: list[Client] = []

    @property
    def client(self) -> Client:
        """The client on its standard input and output."""
        assert self.process.stdin
        assert self.process.stdout
        return Client(self.process.stdout, self.process.stdin)

    def connect(self, path: Path) -> Client:
        """A client on a socket, which the server may be about to make."""
        until = time.monotonic() + PATIENCE_S
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(path))
            except OSError:
                connection.close()
                assert time.monotonic() < until
                assert self.process.poll() is None, "the server has ended"
                time.sleep(0.02)
            else:
                break
        client = Client(connection.makefile("rb"), connection.makefile("wb"), connection)
        self._clients.append(client)
        return client

    def end(self) -> tuple[bytes, str]:
        """End its input, and wait: what it still said, and its log."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return out, err.decode()

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for client in self._clients:
            client.close()
        if self.process.poll() is None:
            self.process.kill()
        if self.process.stdin and not self.process.stdin.closed:
            self.process.communicate()


def ids(answer: dict[str, Any]) -> Sequence[str]:
    """The ids of a list's threads."""
    return [thread["id"] for thread in answer["data"]]
