"""``threadkeep app-server``."""

import asyncio
import errno
import logging
import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli import errors
from cli.arguments.fleet import FleetOptions, takes_fleet
from cli.arguments.locations import Locations
from cli.arguments.options import LogFileOption, LogLevelOption
from cli.remote.client import socket_path
from cli.runtime import logs
from cli.runtime.serving.kept_index import have_descriptors, use_one_arena
from cli.runtime.serving.seen import check_seen
from cli.server.core.service import Program, Service
from cli.server.transport.streams import serve_socket, serve_stdio
from cli.terminal import output
from rollout.files.scan import check_home

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_LONGEST_PATH: Final = 107 if sys.platform == "linux" else 103
_GLANCE_S: Final = 1.0
_GRACE_S: Final = 1.5
"""Seconds that a server may take to end after a signal."""
_LONG_GRACE_S: Final = 30.0
"""The same where its input has ended: the answers only have to be written."""
_MOMENT_S: Final = 0.2
_WAITING: Final = 1024
"""Clients that may wait for a connection. The system refuses more."""
_AT_ONCE: Final = 16
"""Connections accepted before other work gets its turn, so that many short-lived clients are
accepted no faster than they are served."""
_log = logging.getLogger("threadkeep.server")
Serve = Callable[[Service], Coroutine[Any, Any, None]]


@takes_fleet
def command(
    context: typer.Context,
    listen: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="stdio://, unix://PATH or ws://127.0.0.1:PORT. unix:// alone is where list, show"
            " --meta, search and query look for a server.",
        ),
    ] = "stdio://",
    log_level: LogLevelOption = None,
    log_file: LogFileOption = None,
    *,
    fleet: FleetOptions,
) -> int:
    """Serve threads over Codex's app-server protocol, until the input ends."""
    here, root = fleet.locations(context), context.find_root().command
    check_seen(here)
    options = ["--home", str(here.home), "--db", str(here.index)]

    def program(args: list[str]) -> int:
        return int(root.main([*options, *args], "threadkeep", standalone_mode=False) or 0)

    serve = _server_of(listen, here)
    logs.begin(log_level, log_file, waits=False)
    if here.fleet is None:
        check_home(here.home)
    have_descriptors()
    use_one_arena()
    end = _End()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        asyncio.run(_until_ended(here, program, serve, end))
    except typer.BadParameter:  # it has not started
        raise
    except BaseException as error:
        end.log(error=error)
        raise
    finally:
        import multiprocessing

        for child in multiprocessing.active_children():  # they only read
            child.terminate()
        end.done()
        for number, handler in before.items():  # ours would end a caller that goes on
            signal.signal(number, handler)
    end.log()
    return errors.OK


def _server_of(listen: str, here: Locations) -> Serve:
    """What serves clients at an address. Raises typer.BadParameter if it is not an address."""
    kind, _, place = listen.partition("://")
    if kind == "stdio" and not place:
        return serve_stdio
    if kind == "unix":
        if not place and here.fleet is not None:
            raise typer.BadParameter(
                "--listen: unix:// alone is for a server of this home\nname a socket: unix://PATH"
            )
        return partial(_serve_unix, path=Path(place or socket_path(here.index)))
    if kind == "ws":
        host, _, port = place.rpartition(":")
        if port.isdecimal() and int(port) < 2**16:
            from cli.server.transport.websocket import check_address, serve_websockets

            check_address(host.strip("[]"))
            return partial(serve_websockets, host=host.strip("[]"), port=int(port))
    raise typer.BadParameter(
        f"--listen: {listen!r} is not an address\ngive stdio://, unix://, unix://PATH or ws://127.0.0.1:PORT"
    )


class _End:
    """How a server ends: soon, and with one record in the log."""

    def __init__(self) -> None:
        self._reason = ""
        self._connections = 0
        self._logged = threading.Lock()
        self._timer: threading.Timer | None = None

    @property
    def begun(self) -> bool:
        return bool(self._reason)

    def begin(self, reason: str, connections: int, patience_s: float) -> None:
        """Let the server end by itself; after ``patience_s`` it is ended."""
        self.done()
        self._reason, self._connections = reason, connections
        self._timer = threading.Timer(patience_s, self.force)
        self._timer.daemon = True
        self._timer.start()

    def done(self) -> None:
        """The server has ended by itself."""
        if self._timer is not None:
            self._timer.cancel()

    def log(self, *, forced: bool = False, error: BaseException | None = None) -> None:
        """Log it, once."""
        if not self._logged.acquire(blocking=False):
            return
        usual = self._reason, logging.WARNING if forced else logging.INFO
        reason, level = logs.end_by(error) if error else usual
        fields = {"reason": reason, "connections": self._connections, "forced": forced}
        how = "; unfinished work was given up" if forced else ""
        text = "ended by %s with %d connections left%s"
        _log.log(level, text, reason, self._connections, how, extra={"fields": fields})

    def force(self) -> None:
        """End now, as by a kill: nothing is lost that was reported to a client as done."""
        logging_ = threading.Thread(target=self._log_forced, daemon=True)
        logging_.start()
        logging_.join(_MOMENT_S)  # maybe nobody reads the log
        os._exit(errors.OK)

    def _log_forced(self) -> None:
        self.log(forced=True)
        for handler in logging.getLogger().handlers:
            handler.flush()


async def _until_ended(here: Locations, program: Program, serve: Serve, end: _End) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    service = Service(here, program)

    def signalled(number: int, _frame: object) -> None:
        if ended.is_set():
            end.force()
        end.begin(signal.Signals(number).name, service.connections, _GRACE_S)
        loop.call_soon_threadsafe(ended.set)

    for number in _SIGNALS:
        signal.signal(number, signalled)
    async with service.running():
        server = asyncio.create_task(serve(service))
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait({server, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not end.begun:
            end.begin("end of input", service.connections, _LONG_GRACE_S)
        waiting.cancel()
        server.cancel()
        await asyncio.wait({server})
        if not server.cancelled():
            server.result()


async def _serve_unix(service: Service, path: Path) -> None:
    if len(os.fsencode(path)) > _LONGEST_PATH:
        text = f"the path of a socket can have {_LONGEST_PATH} bytes at most\nshorten {path}"
        raise typer.BadParameter(text)
    usual = path == Path(socket_path(service.locations.index))
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise typer.BadParameter(f"{path} exists and is not a socket\nname another path")
        if await _answers(path):
            raise typer.BadParameter(f"a server already listens on {path}")
        path.unlink()  # left by a server that was killed
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
            _log.warning("%s was removed; creating it again", path)
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
            raise typer.BadParameter(f"a server already listens on {path}") from None
        if error.errno == errno.ENOENT:
            text = f"there is no folder {path.parent} for the socket"
            raise typer.BadParameter(text) from None
        raise
    finally:
        os.umask(mask)
    server = await asyncio.start_unix_server(connected, sock=listening, backlog=_AT_ONCE)
    listening.listen(_WAITING)  # asyncio takes one number for both
    ours = path.stat().st_ino
    output.say(f"Listening on unix://{path}")
    try:
        while path.exists():  # noqa: ASYNC110 - nothing notifies of its removal
            await asyncio.sleep(_GLANCE_S)
    finally:
        server.close()  # not awaited: connected clients stay
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
