"""Clients on sockets and WebSockets: who hears of what, who holds up whom, and who may connect."""

import json
import signal
import time
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.cli.server.test_stored import COUNT, filled
from tests.support.app_client import CLIENT, Server
from tests.support.command import Cli, Inside, thread_id


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return filled(tmp_path)


def test_clients_on_a_socket_hear_of_each_other_and_let_go_when_they_die(cli: Cli) -> None:
    path = cli.base / "socket"
    with Server(cli, "--listen", f"unix://{path}") as server:
        one, two = (server.connect(path).begin() for _ in range(2))
        assert path.stat().st_mode & 0o777 == 0o600
        one.call("thread/resume", threadId=thread_id(1))
        one.call("thread/name/set", threadId=thread_id(2), name="told")
        assert two.until("thread/name/updated") == {"threadId": thread_id(2), "threadName": "told"}
        two.call("thread/resume", threadId=thread_id(1))
        one.close()
        time.sleep(0.2)
        assert two.call("thread/loaded/list")["data"] == [thread_id(1)], "two has it, too"
        again = cli.run("app-server", "--listen", f"unix://{path}", status=2)
        assert "listens on" in again.err
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    with Server(cli, "--listen", f"unix://{path}") as server:
        assert server.connect(path).begin().call("thread/loaded/list")["data"] == []


def test_a_client_that_does_not_read_holds_up_nobody(cli: Cli) -> None:
    path = cli.base / "socket"
    with Server(cli, "--listen", f"unix://{path}") as server:
        quick = server.connect(path).begin()
        deaf = server.connect(path).begin()
        assert deaf.connection
        deaf.connection.settimeout(0.5)
        sent = 0
        try:
            for _ in range(100_000):
                deaf.ask("thread/list")
                sent += 1
        except OSError:
            pass  # it is not read from any more
        assert sent < 100_000
        for number in range(30):
            quick.call("thread/name/set", threadId=thread_id(1), name=f"name {number}")
            assert len(quick.call("thread/list")["data"]) == COUNT
        size = Path(f"/proc/{server.process.pid}/status").read_text()
        resident = next(line for line in size.splitlines() if line.startswith("VmRSS"))
        assert int(resident.split()[1]) < 300_000


def test_websockets_are_for_this_machine_or_for_who_has_the_token(cli: Cli) -> None:
    ran = cli.run("app-server", "--listen", "ws://0.0.0.0:0", status=2)
    assert "THREADKEEP_TOKEN" in ran.err
    cli.run("app-server", "--listen", "http://127.0.0.1:0", status=2)
    with Server(cli, "--listen", "ws://127.0.0.1:0") as server:
        place = place_of(server)
        with connect(place) as connection:
            hello = {"id": 1, "method": "initialize", "params": {"clientInfo": CLIENT}}
            connection.send(json.dumps(hello))
            assert json.loads(connection.recv())["result"]["codexHome"] == str(cli.home)
            connection.send('{"id": 2, "method": "thread/list", "params": {}}')
            assert len(json.loads(connection.recv())["result"]["data"]) == COUNT
        with pytest.raises(InvalidStatus, match="403"):
            connect(place, origin=Origin("http://example.invalid"))
    with Server(cli, "--listen", "ws://127.0.0.1:0", env={"THREADKEEP_TOKEN": "ö s"}) as server:
        place = place_of(server)
        with pytest.raises(InvalidStatus, match="401"):
            connect(place)


def place_of(server: Server) -> str:
    """Where it says that it listens."""
    assert server.process.stderr
    return server.process.stderr.readline().decode().split()[-1]


def test_a_program_that_ran_a_server_has_its_own_signals_back(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "folder").mkdir()
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    cli = Inside(tmp_path / "home", tmp_path / "index.sqlite3")
    cli.run("app-server", "--listen", f"unix://{tmp_path / 'folder'}", status=2)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
