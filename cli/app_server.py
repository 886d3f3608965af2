"""``threadkeep app-server``: Codex's app-server protocol for stored threads."""

import asyncio
import json
import logging
import os
import signal
import stat
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import typer

from cli import errors
from cli.asking import socket_path
from cli.places import Places
from cli.server.service import Program, Service
from cli.server.transports import serve_socket, serve_stdio
from rollout.scan import check_home

_LONGEST_PATH: Final = 107 if sys.platform == "linux" else 103
_GLANCE_S: Final = 1.0
_LEVELS: Final = ("debug", "info", "warning", "error")
_log = logging.getLogger("threadkeep.server")


def run(places: Places, program: Program, listen: str, log_level: str) -> int:
    """Serve until the input ends, or until a signal. Gives the exit status."""
    check_home(places.home)
    _log_to_stderr(log_level)
    asyncio.run(_until_signalled(places, program, _server_of(listen, places)))
    return errors.OK


def _server_of(listen: str, places: Places) -> Callable[[Service], Coroutine[Any, Any, None]]:
    kind, _, place = listen.partition("://")
    if kind == "stdio" and not place:
        return serve_stdio
    if kind == "unix":
        return partial(_serve_unix, path=Path(place or socket_path(places.index)))
    if kind == "ws":
        host, _, port = place.rpartition(":")
        if port.isdecimal() and int(port) < 2**16:
            from cli.server.websocket import check_place, serve_websockets

            check_place(host.strip("[]"))
            return partial(serve_websockets, host=host.strip("[]"), port=int(port))
    raise typer.BadParameter("--listen takes stdio://, unix://, unix://PATH or ws://127.0.0.1:PORT")


class _JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def _log_to_stderr(level: str) -> None:
    if level not in _LEVELS:
        raise typer.BadParameter(f"--log-level is one of {', '.join(_LEVELS)}")
    handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("LOG_FORMAT") == "json":
        handler.setFormatter(_JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=level.upper())


async def _until_signalled(
    places: Places, program: Program, serve: Callable[[Service], Coroutine[Any, Any, None]]
) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with Service(places, program).opened() as service:
        serving = asyncio.create_task(serve(service))
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        serving.cancel()
        await asyncio.wait({serving})
        if not serving.cancelled():
            serving.result()


async def _serve_unix(service: Service, path: Path) -> None:
    if len(os.fsencode(path)) > _LONGEST_PATH:
        text = f"a socket's path has {_LONGEST_PATH} bytes at most: name another than {path}"
        raise typer.BadParameter(text)
    usual = path == Path(socket_path(service.places.index))
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
    mask = os.umask(0o177)  # for its owner only
    try:
        server = await asyncio.start_unix_server(connected, path)
    except FileNotFoundError:
        raise typer.BadParameter(f"there is no folder {path.parent} for a socket") from None
    finally:
        os.umask(mask)
    ours = path.stat().st_ino
    print(f"Listening on unix://{path}", file=sys.stderr, flush=True)
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
