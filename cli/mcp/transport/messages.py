"""Messages of a client, line by line: the SDK drops what it cannot read, so that whoever has asked
waits for ever."""

import json
from types import TracebackType
from typing import TYPE_CHECKING, Final

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

if TYPE_CHECKING:
    from mcp.shared._stream_protocols import ReadStream, WriteStream

_NO_JSON: Final = ErrorData(code=PARSE_ERROR, message="a line is no JSON")
_NO_MESSAGE: Final = ErrorData(code=INVALID_REQUEST, message="a line is no message of JSON-RPC")


class Messages:
    """A stream of messages, in which halves of characters are replaced, as the clients leave that
    cut a text within one; lines that are no messages are answered."""

    def __init__(
        self,
        given: "ReadStream[SessionMessage | Exception]",
        answers: "WriteStream[SessionMessage]",
    ) -> None:
        self._given, self._answers = given, answers

    async def receive(self) -> SessionMessage | Exception:
        """The next message."""
        while True:
            item = await self._given.receive()
            if not isinstance(item, ValidationError):
                return item
            found = _read_again(item)
            if isinstance(found, SessionMessage):
                return found
            if found is not None:
                answer = JSONRPCError(jsonrpc="2.0", id=None, error=found)
                await self._answers.send(SessionMessage(answer))

    async def aclose(self) -> None:
        """Close the stream."""
        await self._given.aclose()

    def __aiter__(self) -> "Messages":
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> "Messages":
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


def _read_again(error: ValidationError) -> SessionMessage | ErrorData | None:
    """The message in a line that was refused, or why there is none; None for an empty line."""
    (first, *_) = error.errors(include_url=False)
    line = first["input"]
    if first["type"] != "json_invalid" or not isinstance(line, str):
        return _NO_MESSAGE
    if not line.strip():
        return None
    try:
        text = json.dumps(json.loads(line), ensure_ascii=False)
    except (ValueError, RecursionError):
        return _NO_JSON
    try:
        whole = text.encode("utf-8", "replace")
        return SessionMessage(jsonrpc_message_adapter.validate_json(whole, by_name=False))
    except ValidationError:
        return _NO_MESSAGE
