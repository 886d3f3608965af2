"""Serve the pages until a signal, then end at once: with open streams and slow readers, too."""

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import Server

from cli.arguments.locations import Locations
from cli.runtime.kept_index import KeptIndex, have_descriptors, use_one_arena
from cli.web.app import OtherPages, make_app
from cli.web.security import Access, App
from cli.web.site import Site

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_GRACE_S: Final = 1
"""Seconds that answers may take to be sent after a signal."""
_PATIENCE_S: Final = 3.0
"""Seconds after which the process is ended whatever it does: it only reads, and each change is
atomic."""
_MOMENT_S: Final = 1.0
_IDLE_S: Final = 30
_MOST_HEADER_BYTES: Final = 32 * 1024


class _Server(Server):
    """Leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def serve(here: Locations, access: Access, listening: socket.socket) -> None:
    """Serve on a socket until SIGINT or SIGTERM."""
    have_descriptors()
    use_one_arena()
    try:
        asyncio.run(_serve(here, access, listening))
    finally:
        for child in multiprocessing.active_children():  # they only read
            child.terminate()


async def _serve(here: Locations, access: Access, listening: socket.socket) -> None:
    others = OtherPages()
    async with KeptIndex(here) as kept:
        site = Site(here, kept, access)
        server = server_of(make_app(site, others))
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, _signalled, server, site)
        loading = asyncio.create_task(_load(others))
        try:
            await server.serve(sockets=[listening])
        finally:
            loading.cancel()


def server_of(app: App) -> Server:
    """What serves the pages on sockets."""
    config = Config(
        app,
        loop="none",
        http=H11Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # faults are logged by ours, and clients may send anything
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=_GRACE_S,
        h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
    )
    return _Server(config)


def end(server: Server, site: Site) -> None:
    """Have a server end: streams at once, answers within a moment."""
    server.should_exit = True
    site.closing.set()


async def _load(others: OtherPages) -> None:
    """Load the other pages before somebody asks for one, and after the first. From then on garbage
    is collected, but never looked for among modules."""
    try:
        await asyncio.sleep(_MOMENT_S)
        await others.load()
    finally:
        gc.freeze()
        gc.enable()


def _signalled(server: Server, site: Site) -> None:
    if server.should_exit:  # the second signal
        os._exit(0)
    end(server, site)
    ending = threading.Timer(_PATIENCE_S, os._exit, (0,))
    ending.daemon = True
    ending.start()
