"""Whether a command is run by a server, on the index that it keeps open and in step."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex

SERVING: ContextVar["Callable[[Callable[[ThreadIndex], Awaitable[Any]]], Any] | None"]
SERVING = ContextVar("SERVING", default=None)
"""Does work on the server's index, in its event loop, and gives what the work gives."""
