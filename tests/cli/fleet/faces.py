"""One home, as its own index has it and as a fleet does, for tests of what shows either."""

import asyncio
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from cli.arguments.locations import Locations
from state.edit.marks import set_marks
from state.userdata.marks import NOTE, ON, tag_key
from tests.state.fleet.contents import machine
from tests.support.command import thread_id, write_rollout
from tests.support.postgres.cluster import Fleet
from tests.support.postgres.copied import put_index

COUNT: Final = 6
MACHINE: Final = "laptop"
ONLY_ROW: Final = thread_id(COUNT)
"""The thread that is pushed without its rollout."""


class Door:
    """Stands before a fleet, and can be shut: connections end, and there are no new ones."""

    def __init__(self, fleet: Fleet) -> None:
        cluster = fleet.cluster
        self._target = f"{cluster.folder}/.s.PGSQL.{cluster.port}"
        self._open: list[socket.socket] = []
        self._accepting: threading.Thread | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        # Bound by number, which keeps the port while the door is shut: else another process may
        # have it when the door is opened again.
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind(("127.0.0.1", self.port))

    def open(self) -> None:
        """Let clients in."""
        self._listening.listen()
        self._accepting = threading.Thread(target=self._serve, daemon=True)
        self._accepting.start()

    def shut(self) -> None:
        """End all connections, and let nobody in."""
        assert self._accepting is not None
        self._listening.shutdown(socket.SHUT_RDWR)
        self._accepting.join()  # it may just be letting somebody in
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._open += [client, server]
                threading.Thread(target=_connect, args=(client, server), daemon=True).start()


def _connect(client: socket.socket, server: socket.socket) -> None:
    with client, server:
        back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
        back.start()
        _pass_on(client, server)
        back.join()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)


class Faces(NamedTuple):
    """Where the same threads are."""

    local: Locations
    fleet: Locations
    door: Door
    """What is before the fleet."""
    server: Fleet
    """The same for its administrator."""


def faces(fleet: Fleet, folder: Path) -> Faces:
    """A machine that has pushed its threads with their rollouts, but for the last one; the newest
    has a tag and a note."""
    home = folder / "home"
    for number in range(1, COUNT + 1):
        path = write_rollout(home, number, f"prompt {number}", cwd=f"/w/project{number % 2}")
        with path.open("a") as file:
            file.write(_ANSWER % number)

    async def push() -> None:
        async with machine(fleet, folder, MACHINE) as pushing:
            await set_marks(pushing.index, [thread_id(3)], {tag_key("bug"): ON, NOTE: "look here"})
            await pushing.push(*map(thread_id, range(1, COUNT)))

    asyncio.run(push())
    put_index(fleet, MACHINE, folder / "index.sqlite3")
    local = Locations(home, folder / "index.sqlite3")
    door = Door(fleet)
    door.open()
    login = fleet.reader().split("user=")[1]
    address = f"host=127.0.0.1 port={door.port} dbname={fleet.database} user={login}"
    reader = Locations(folder / "none", folder / "reader" / "index.sqlite3", None, address)
    return Faces(local, reader, door, fleet)


_ANSWER: Final = (
    '{"timestamp": "2026-10-15T01:00:00.000Z", "type": "event_msg", "payload":'
    ' {"type": "agent_message", "message": "answer %d"}}\n'
    '{"timestamp": "2026-10-15T01:00:01.000Z", "type": "event_msg", "payload":'
    ' {"type": "token_count", "info": {"last_token_usage": {"input_tokens": 100,'
    ' "cached_input_tokens": 0, "output_tokens": 10, "reasoning_output_tokens": 0,'
    ' "total_tokens": 110}, "total_token_usage": {"input_tokens": 100, "cached_input_tokens": 0,'
    ' "output_tokens": 10, "reasoning_output_tokens": 0, "total_tokens": 110}}}}\n'
)
