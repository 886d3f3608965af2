"""Connections to a fleet's PostgreSQL."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import psycopg

CONNECT_S: Final = 10
"""How long a connection may take to be made, in seconds."""
_OPTIONS: Final[dict[str, Any]] = {
    "autocommit": True,
    "prepare_threshold": None,  # PgBouncer gives each transaction another connection
    "connect_timeout": CONNECT_S,
    "application_name": "threadkeep",
    "client_encoding": "UTF8",
}


@asynccontextmanager
async def connected(address: str) -> "AsyncGenerator[psycopg.AsyncConnection[Any]]":
    """A connection to ``address``, in the form of libpq: a URL, or ``key=value`` pairs. It is in
    autocommit mode: transactions are begun with ``connection.transaction()``."""
    import psycopg

    connection = await psycopg.AsyncConnection.connect(address, **_OPTIONS)
    try:
        yield connection
    finally:
        await connection.close()
