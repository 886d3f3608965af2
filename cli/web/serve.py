"""Serve the pages until a signal, then end at once: with open streams and slow readers, too."""

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
import threading
from typing import Final

from uvicorn.server import Server

from cli.arguments.locations import Locations
from cli.runtime.serving.http_server import http_server
from cli.runtime.serving.kept_index import KeptIndex, have_descriptors, use_one_arena
from cli.web.app import OtherPages, make_app
from cli.web.security import Access, App
from cli.web.site import Site

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_PATIENCE_S: Final = 3.0
"""Seconds after which the process is ended whatever it does: it only reads, and each change is
atomic."""
_MOMENT_S: Final = 1.0
_IDLE_S: Final = 30
_MOST_HEADER_BYTES: Final = 32 * 1024


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
    return http_server(
        app,
        lifespan="off",
        timeout_keep_alive=_IDLE_S,
        h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
    )


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
