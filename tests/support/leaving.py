"""Clients that leave in the middle of requests, and what a server holds after them."""

import json
import os
import random
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from websockets.client import ClientProtocol
from websockets.protocol import State
from websockets.uri import parse_uri

from cli.server.methods.registry import METHODS
from tests.support.app_client import CLIENT, Server
from tests.support.command import Cli
from tests.support.effort import PATIENCE_S

REQUESTS = 8
"""Of one client."""
TOGETHER = 50
"""Clients that leave at the same time."""

Params = dict[str, dict[str, Any]]


def params_of(thread_id: str) -> Params:
    """For each method parameters that it has work with."""
    one = {"threadId": thread_id}
    asked: Params = {
        "thread/list": {"limit": 100, "searchTerm": "e"},
        "thread/read": {**one, "includeTurns": True},
        "thread/search": {"searchTerm": "the"},
        "thread/search/cancel": {"requestId": 1},
        "thread/search/stream": {"searchTerm": "the"},
        "thread/search/stream/cancel": {"requestId": 1},
        "thread/searchOccurrences": {**one, "searchTerm": "the"},
        "thread/loaded/list": {},
        "thread/start": {},
        "thread/name/set": {**one, "name": "left"},
        "thread/metadata/update": {**one, "gitInfo": {"branch": "left"}},
        "thread/memoryMode/set": {**one, "mode": "enabled"},
        "thread/items/read": {**one, "turnId": thread_id, "itemIds": ["item-1"]},
        "thread/inject_items": {**one, "items": []},
        "threadkeep/status": {},
        "threadkeep/changes": {"waitMs": 60_000},
    }
    return {method: asked.get(method, one) for method in METHODS if method != "threadkeep/command"}


class Figures(NamedTuple):
    """What a process holds."""

    descriptors: int
    """Without those of the index."""
    of_index: int
    threads: int
    kb: int

    @classmethod
    def of(cls, pid: int) -> "Figures":
        held = []
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                held.append(os.readlink(descriptor))
            except FileNotFoundError:
                continue
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines)
        indexed = sum(".sqlite3" in name for name in held)
        threads, kb = int(status["Threads"]), int(status["VmRSS"].split()[0])
        return cls(len(held) - indexed, indexed, threads, kb)


def _messages(method: str, params: dict[str, Any]) -> list[bytes]:
    hello = {"clientInfo": CLIENT, "capabilities": {"experimentalApi": True}}
    asked = [("initialize", hello), *[(method, params)] * REQUESTS]
    return [
        json.dumps({"id": number, "method": name, "params": given}).encode()
        for number, (name, given) in enumerate(asked)
    ]


def on_socket(path: Path) -> Callable[[Sequence[bytes]], socket.socket]:
    """Connects a client and sends its messages."""

    def send(messages: Sequence[bytes]) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(path))
        client.sendall(b"".join(message + b"\n" for message in messages))
        return client

    return send


def on_websocket(url: str) -> Callable[[Sequence[bytes]], socket.socket]:
    """Connects a client and sends its messages."""
    uri = parse_uri(url)

    def send(messages: Sequence[bytes]) -> socket.socket:
        client = socket.create_connection((uri.host, uri.port))
        protocol = ClientProtocol(uri)
        protocol.send_request(protocol.connect())
        client.sendall(b"".join(protocol.data_to_send()))
        while protocol.state is State.CONNECTING:
            protocol.receive_data(client.recv(2**16))
        for message in messages:
            protocol.send_text(message)
        client.sendall(b"".join(protocol.data_to_send()))
        return client

    return send


def crowd(
    send: Callable[[Sequence[bytes]], socket.socket],
    method: str,
    params: dict[str, Any],
    count: int,
) -> None:
    """Have so many clients ask, and leave before they are answered: some at once, others when
    the server is at it."""
    chance = random.Random(count)
    messages = _messages(method, params)
    while count > 0:
        here = [send(messages) for _ in range(min(count, TOGETHER))]
        time.sleep(chance.random() * 0.02)
        for client in here:
            client.close()
        count -= len(here)


def leave_stdio(cli: Cli, method: str, params: dict[str, Any]) -> float:
    """Start a server, ask, leave, and wait for its end: how long that took, in seconds."""
    with Server(cli) as server:
        assert server.process.stdin
        assert server.process.stdout
        server.client.begin()
        for message in _messages(method, params)[1:]:
            server.process.stdin.write(message + b"\n")
        server.process.stdin.flush()
        began = time.monotonic()
        server.process.stdin.close()
        server.process.stdout.close()
        assert server.process.wait(PATIENCE_S) == 0
        took = time.monotonic() - began
        assert server.process.stderr
        server.process.stderr.close()
        return took
