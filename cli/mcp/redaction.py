"""Takes secrets out of all that the server answers."""

import asyncio
import string
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import ErrorData

from cli.mcp.budget import CUT

if TYPE_CHECKING:
    from cli.redact.remover import SecretRemover

_OF_THREADS: Final = frozenset(
    {
        *("tools/call", "prompts/get", "completion/complete"),
        *("resources/list", "resources/templates/list", "resources/read"),
    }
)
"""What is answered with texts of threads."""
_EDGE: Final = 256
"""What tells of a secret stands within so many characters before it."""
_OF_SECRETS: Final = "".join({*string.printable.strip()} - {*"\"',;"})
"""Characters of which secrets are made."""
Value = TypeVar("Value")


class Redaction:
    """Takes out the secrets that :mod:`cli.redact` finds; e-mail addresses and folders stay.

    :meth:`middleware` sees every answer. What cuts a text calls :meth:`redacted` first, as nobody
    knows half of a secret for one.
    """

    def __init__(self, *, on: bool) -> None:
        self._on = on

    @cached_property
    def _remover(self) -> "SecretRemover":
        from cli.redact.remover import SecretRemover  # a tenth of a second

        return SecretRemover()

    def redacted(self, value: Value) -> Value:
        """A text, or a JSON value, without secrets."""
        found: Value = self._remover.value(value) if self._on else value
        return found

    def redacted_beginning(self, text: str) -> str:
        """A text without secrets that may have been cut before, and ends with dots then: without
        its last word, which may be half a secret."""
        if self._on and text.endswith(CUT):
            text = f"{text[: -len(CUT)].rpartition(' ')[0]} {CUT}"
        return self.redacted(text)

    def redacted_piece(self, text: str, start: int, end: int) -> str:
        """A piece of a text without secrets, and, where the text goes on, without what may be a
        part of one."""
        start = max(start, 0)
        clean = self.redacted(text[start:end])
        if self._on and start:
            clean = clean[_EDGE:].lstrip(_OF_SECRETS)
        if self._on and end < len(text):
            clean = clean.rstrip(_OF_SECRETS)
        return clean

    async def load(self) -> None:
        """Load the patterns, so that no answer has to wait for them."""
        if self._on:
            await asyncio.to_thread(lambda: self._remover)

    async def middleware(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Answer without secrets, also where the answer is a refusal."""
        if not self._on or ctx.method not in _OF_THREADS:
            return await call_next(ctx)
        try:
            return self.redacted(await call_next(ctx))
        except MCPError as error:
            error.error = ErrorData.model_validate(self.redacted(error.error.model_dump()))
            raise
        except Exception as error:  # the SDK tells clients what it says
            error.args = (*self.redacted([*map(str, error.args)]),)
            raise
