"""``threadkeep app-server``: Codex's app-server protocol for stored threads."""

import asyncio
import errno
import gc
import logging
import os
import resource
import signal
import socket
import stat
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import typer

from cli import errors
from cli.arguments.locations import Locations
from cli.remote.client import socket_path
from cli.server.core.service import Program, Service
from cli.server.transport.streams import serve_socket, serve_stdio
from cli.terminal import output
from rollout.files.scan import check_home

_LONGEST_PATH: Final = 107 if sys.platform == "linux" else 103
_GLANCE_S: Final = 1.0
_GRACE_S: Final = 1.5
"""How long a server that is told to end may take, in seconds."""
_LONG_GRACE_S: Final = 30.0
"""The same where its input has ended: what was asked for is done, and only has to be written."""
_MOMENT_S: Final = 0.2
_DESCRIPTORS: Final = 8192
_WAITING: Final = 1024
"""Clients that may wait to be let in; more are refused by the system."""
_AT_ONCE: Final = 16
"""Clients that are let in before what the others want is seen to: a crowd that comes and leaves is
let in no faster than it is seen off."""
_log = logging.getLogger("threadkeep.server")
Serve = Callable[[Service], Coroutine[Any, Any, None]]


def run(locations: Locations, program: Program, serve: Serve) -> int:
    """Serve until the input ends, or until a signal. Gives the exit status."""
    check_home(locations.home)
    _have_descriptors()
    end = _End()
    try:
        asyncio.run(_until_ended(locations, program, serve, end))
    except typer.BadParameter:  # it has not begun
        raise
    except BaseException as error:
        end.tell(error=error)
        raise
    finally:
        import multiprocessing

        for child in multiprocessing.active_children():  # they only read
            child.terminate()
        end.came()
    end.tell()
    gc.freeze()  # Python would look through all that is left, which takes longer than all this
    return errors.OK


def _have_descriptors() -> None:
    """Have as many descriptors as the system gives for the asking: each client takes one."""
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if most == resource.RLIM_INFINITY else min(_DESCRIPTORS, most)
    if usual != resource.RLIM_INFINITY and usual < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def server_of(listen: str, locations: Locations) -> Serve:
    """What serves clients at a place.

    Raises:
        typer.BadParameter: it is no place.
    """
    kind, _, place = listen.partition("://")
    if kind == "stdio" and not place:
        return serve_stdio
    if kind == "unix":
        return partial(_serve_unix, path=Path(place or socket_path(locations.index)))
    if kind == "ws":
        host, _, port = place.rpartition(":")
        if port.isdecimal() and int(port) < 2**16:
            from cli.server.transport.websocket import check_address, serve_websockets

            check_address(host.strip("[]"))
            return partial(serve_websockets, host=host.strip("[]"), port=int(port))
    raise typer.BadParameter("--listen takes stdio://, unix://, unix://PATH or ws://127.0.0.1:PORT")


class _End:
    """How a server ends: with one record, and soon."""

    def __init__(self) -> None:
        self._reason = ""
        self._connections = 0
        self._told = threading.Lock()
        self._timer: threading.Timer | None = None

    @property
    def begun(self) -> bool:
        return bool(self._reason)

    def begin(self, reason: str, connections: int, patience_s: float) -> None:
        """End by yourself; after so many seconds this does it."""
        self.came()
        self._reason, self._connections = reason, connections
        self._timer = threading.Timer(patience_s, self.force)
        self._timer.daemon = True
        self._timer.start()

    def came(self) -> None:
        """All has ended by itself."""
        if self._timer is not None:
            self._timer.cancel()

    def tell(self, *, forced: bool = False, error: BaseException | None = None) -> None:
        """Log it, once."""
        if not self._told.acquire(blocking=False):
            return
        reason = f"error: {error!r}" if error else self._reason
        level = logging.ERROR if error else logging.WARNING if forced else logging.INFO
        fields = {"reason": reason, "connections": self._connections, "forced": forced}
        how = "; what was not done is given up" if forced else ""
        text = "ended by %s with %d connections left%s"
        _log.log(level, text, reason, self._connections, how, extra={"fields": fields})

    def force(self) -> None:
        """End now, whatever goes on: as by a kill, after which nothing is lost that anybody was
        told is done."""
        telling = threading.Thread(target=self._tell_forced, daemon=True)
        telling.start()
        telling.join(_MOMENT_S)  # nobody may read the log
        os._exit(errors.OK)

    def _tell_forced(self) -> None:
        self.tell(forced=True)
        for handler in logging.getLogger().handlers:
            handler.flush()


async def _until_ended(locations: Locations, program: Program, serve: Serve, end: _End) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    service = Service(locations, program)

    def signalled(number: int, _frame: object) -> None:
        if ended.is_set():
            end.force()
        end.begin(signal.Signals(number).name, service.connections, _GRACE_S)
        loop.call_soon_threadsafe(ended.set)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signalled)
    async with service.running():
        serving = asyncio.create_task(serve(service))
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not end.begun:
            end.begin("end of input", service.connections, _LONG_GRACE_S)
        waiting.cancel()
        serving.cancel()
        await asyncio.wait({serving})
        if not serving.cancelled():
            serving.result()


async def _serve_unix(service: Service, path: Path) -> None:
    if len(os.fsencode(path)) > _LONGEST_PATH:
        text = f"a socket's path has {_LONGEST_PATH} bytes at most: name another than {path}"
        raise typer.BadParameter(text)
    usual = path == Path(socket_path(service.locations.index))
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise typer.BadParameter(f"{path} is there, and no socket: name another place")
        if await _answers(path):
            raise typer.BadParameter(f"a server listens on {path} already")
        path.unlink()  # of one that was killed
    clients: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.create_task(serve_socket(service, reader, writer))
        clients.add(client)
        client.add_done_callback(clients.discard)

    try:
        while True:
            if usual:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            await _listen(path, connected)
            _log.warning("%s was removed; it is made again", path)
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def _listen(path: Path, connected: Callable[..., None]) -> None:
    """Take clients at ``path`` until cancelled, or until the socket is not there any more."""
    listening = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)  # for its owner only
    try:
        listening.bind(os.fspath(path))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise typer.BadParameter(f"a server listens on {path} already") from None
        if error.errno == errno.ENOENT:
            text = f"there is no folder {path.parent} for a socket"
            raise typer.BadParameter(text) from None
        raise
    finally:
        os.umask(mask)
    server = await asyncio.start_unix_server(connected, sock=listening, backlog=_AT_ONCE)
    listening.listen(_WAITING)  # asyncio has one number for both
    ours = path.stat().st_ino
    output.say(f"Listening on unix://{path}")
    try:
        while path.exists():  # noqa: ASYNC110 - nothing tells when it goes
            await asyncio.sleep(_GLANCE_S)
    finally:
        server.close()  # not waited for: clients that are there stay
        with suppress(FileNotFoundError):
            if path.stat().st_ino == ours:
                path.unlink()


async def _answers(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True
