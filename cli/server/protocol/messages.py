"""JSON-RPC messages as the app-server writes them: one object a line, without ``jsonrpc``."""

import time
from dataclasses import dataclass
from typing import Any, Final

import orjson

from rollout.jsonl.parse import storable

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
UNSUPPORTED: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL: Final = -32603
OVERLOADED: Final = -32001
"""Our own, from the range that JSON-RPC leaves to servers: try again later."""

Id = str | int
Message = dict[str, Any]


class RpcError(Exception):
    """A request is answered with this error instead of a result."""

    def __init__(
        self, code: int, message: str, kind: str, *, retryable: bool = False, hint: str = ""
    ) -> None:
        self.code = code
        self.data = {"kind": kind, "retryable": retryable, **({"hint": hint} if hint else {})}
        super().__init__(message)


def invalid_request(message: str, kind: str = "invalid_request") -> RpcError:
    """The error of a request that cannot be carried out: Codex has one code for most of them."""
    return RpcError(INVALID_REQUEST, message, kind)


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a client."""

    method: str
    params: Any
    id: Id


def parse(line: bytes) -> Request | None:
    """Parse a line; None for a notification or an answer: neither needs anything done. Raises
    RpcError if the line is not JSON, or not a message."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RpcError(PARSE_ERROR, f"Parse error: {error}", "parse_error") from None
    if not isinstance(value, dict):
        raise invalid_request("Invalid request: a message is an object")
    method, id_ = value.get("method"), value.get("id")
    if method is None and ("result" in value or "error" in value):
        return None
    if not isinstance(method, str):
        raise invalid_request("Invalid request: a message has a method")
    if id_ is not None and (isinstance(id_, bool) or not isinstance(id_, str | int)):
        raise invalid_request("Invalid request: an id is a string or an integer")
    return None if id_ is None else Request(method, value.get("params"), id_)


def result(id_: Id, value: Any) -> bytes:
    """The line of an answer with a result."""
    return _line({"id": id_, "result": value})


def failure(id_: Id | None, error: RpcError) -> bytes:
    """The line of an answer with an error; the id is None if the message could not be read."""
    fields = {"code": error.code, "message": str(error), "data": error.data}
    return _line({"id": id_, "error": fields})


def notification(method: str, params: Message) -> bytes:
    """The line of a notification."""
    stamp = time.time_ns() // 1_000_000
    return _line({"method": method, "params": params, "emittedAtMs": stamp})


def _line(message: Message) -> bytes:
    # Texts of rollouts may hold lone surrogates, which UTF-8 cannot encode.
    try:
        return orjson.dumps(message) + b"\n"
    except TypeError:
        return orjson.dumps(storable(message)) + b"\n"
