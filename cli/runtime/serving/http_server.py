"""What serves an application over HTTP: uvicorn, without what guesses, colours or logs."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import Server

_GRACE_S: Final = 1
"""Seconds that answers may take to be sent after a signal."""


class _Server(Server):
    """Leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def http_server(app: Any, **options: Any) -> Server:
    """What serves an ASGI application on sockets; ``options`` are uvicorn's."""
    config = Config(
        app,
        loop="none",
        http=H11Protocol,
        ws="none",
        log_config=None,
        log_level="critical",  # faults are logged by ours, and clients may send anything
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        **options,
    )
    return _Server(config)
