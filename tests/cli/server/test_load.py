"""Many clients, hostile requests and sudden deaths: nothing is lost, nothing is stuck."""

import json
import random
import signal
import string
import threading
from pathlib import Path
from typing import Any

import pytest

from cli.server.methods.registry import METHODS
from tests.support.app_client import Client, Server, ids, soon
from tests.support.checks import codes, synced, verified
from tests.support.command import Cli, thread_id, write_rollout
from tests.support.effort import PATIENCE_S, is_full

COUNT = 30
CLIENTS = 50
ROUNDS = 4 if is_full() else 1
HOSTILE = 10_000 if is_full() else 500
DEATHS = 5 if is_full() else 2


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command for a home of a few threads, which the index knows."""
    made = Cli(tmp_path / "home", tmp_path)
    for number in range(COUNT):
        write_rollout(made.home, number, f"thread {number}")
    synced(made.home, made.index)
    return made


def resident_kb(server: Server) -> int:
    """How much memory the server takes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def hostile(chance: random.Random, number: int) -> bytes:
    """A line that a broken or hostile client may send."""
    odd: list[Any] = [None, 0, -1, 2**70, 1.5, True, "", "x", "../../etc/passwd", "\0", "ü"]
    odd += [[], {}, [[]], {"a": 1}, "%" * 300, thread_id(99), thread_id(98).upper(), "1" * 5000]
    if chance.random() < 0.2:
        return bytes(chance.choice(string.printable.encode()) for _ in range(chance.randrange(60)))
    params: Any = {
        name: chance.choice(odd)
        for name in chance.sample(
            ["threadId", "cursor", "limit", "cwd", "name", "gitInfo", "items", "searchTerm"], 3
        )
    }
    if chance.random() < 0.1:
        params = chance.choice(odd)
    method = chance.choice([*METHODS, "turn/start", "no/such", ""])
    if method in ("thread/start", "thread/fork"):
        method = "thread/read"  # which would make threads, and rightly so
    return json.dumps({"id": number, "method": method, "params": params}).encode()


def test_thousands_of_hostile_requests_are_answered_and_change_nothing(cli: Cli) -> None:
    before = {path: path.read_bytes() for path in cli.home.rglob("*.jsonl")}
    chance = random.Random(1)
    with Server(cli) as server:
        client = server.client.begin()
        answered = 0
        sent = [hostile(chance, number) for number in range(1000, 1000 + HOSTILE)]

        def send() -> None:
            for line in sent:
                client.send(line.replace(b"\n", b" "))

        sender = threading.Thread(target=send)
        sender.start()
        wanted = {json.loads(line)["id"] for line in sent if line.startswith(b'{"id"')}
        while wanted:
            message = client.next()
            if "error" in message:
                assert message["error"]["code"] in (-32700, -32600, -32601, -32602, -32603, -32001)
                assert message["error"]["data"]["kind"] != "internal", message
                answered += 1
            wanted.discard(message.get("id"))
        sender.join()
        assert answered > HOSTILE // 2
        assert len(client.call("thread/list")["data"]) == 25
        assert resident_kb(server) < 300_000
    assert {path: path.read_bytes() for path in cli.home.rglob("*.jsonl")} == before


def test_fifty_clients_at_once(cli: Cli) -> None:
    path = cli.base / "socket"
    faults: list[object] = []

    def work(client: Client, number: int) -> None:
        try:
            mine = thread_id(number % COUNT)
            for turn in range(ROUNDS):
                assert len(ids(client.call("thread/list", limit=10))) == 10
                client.call("thread/name/set", threadId=mine, name=f"{number} {turn}")
                client.call("thread/read", threadId=mine)
        except BaseException as fault:  # noqa: BLE001 - for the thread that made us
            faults.append(fault)

    with Server(cli, "--listen", f"unix://{path}") as server:
        clients = [server.connect(path).begin() for _ in range(CLIENTS)]
        threads = [
            threading.Thread(target=work, args=(client, number))
            for number, client in enumerate(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert faults == []

        def last_names() -> bool:  # of which the index may have an older one for a moment
            listed = clients[0].call("thread/list", limit=100)["data"]
            names = {each["name"] for each in listed}
            return len(names) == COUNT and all(name.endswith(f" {ROUNDS - 1}") for name in names)

        soon(last_names)
        assert resident_kb(server) < 300_000
    assert codes(verified(cli.home, cli.index)) == {}


def test_killed_in_the_middle_of_changes_it_loses_nothing(cli: Cli) -> None:
    chance = random.Random(1)
    for round_ in range(DEATHS):
        with Server(cli) as server:
            client = server.client.begin()
            alive = ids(client.call("thread/list", limit=100))
            for id_ in chance.sample(list(alive), 12):
                method = chance.choice(["thread/archive", "thread/name/set", "thread/fork"])
                client.ask(method, threadId=id_, name=f"round {round_}")
            answered = chance.randrange(6)
            while answered:
                answered -= "id" in client.next()
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
        synced(cli.home, cli.index)
        assert codes(verified(cli.home, cli.index)) == {}
        names = [path.name for path in cli.home.rglob("rollout-*.jsonl")]
        assert len(names) == len(set(names))
        assert {thread_id(n) for n in range(COUNT)} <= {name[28:64] for name in names}


def test_changes_of_a_thread_are_made_in_the_order_in_which_they_are_sent(cli: Cli) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "more"}]}
    named = {"threadId": thread_id(1)}
    [path] = cli.home.rglob(f"*{thread_id(1)}.jsonl")
    with Server(cli) as server:
        client = server.client.begin()
        client.call("thread/list")
        sent = [client.ask("thread/resume", **named, path=str(path), excludeTurns=True)]
        sent.append(client.ask("thread/inject_items", **named, items=[item]))
        sent += [client.ask("thread/name/set", **named, name=f"name {n}") for n in range(40)]
        answered: list[int] = []
        while len(answered) < len(sent):
            message = client.next()
            if "id" in message:
                assert "result" in message, message
                answered.append(message["id"])
        assert answered == sent
        assert client.call("thread/read", **named)["thread"]["name"] == "name 39"
