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
"""Ours, from the range that JSON-RPC leaves to servers: try again later."""

Id = str | int
Message = dict[str, Any]


class RpcError(Exception):
    """What a request is answered with instead of a result."""

    def __init__(
        self, code: int, message: str, kind: str, *, retryable: bool = False, hint: str = ""
    ) -> None:
        self.code = code
        self.data = {"kind": kind, "retryable": retryable, **({"hint": hint} if hint else {})}
        super().__init__(message)


def invalid_request(message: str, kind: str = "invalid_request") -> RpcError:
    """A request that makes no sense here: Codex answers all of them with one code."""
    return RpcError(INVALID_REQUEST, message, kind)


@dataclass(frozen=True, slots=True)
class Request:
    """A request, or a notification if it has no id."""

    method: str
    params: Any
    id: Id | None


def parse(line: bytes) -> Request | None:
    """The request in a line; None if it is an answer, of which we expect none.

    Raises:
        Fault: it is no JSON, or no message.
    """
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
    return Request(method, value.get("params"), id_)


def result(id_: Id, value: Any) -> bytes:
    """The line of an answer."""
    return _line({"id": id_, "result": value})


def failure(id_: Id | None, fault: RpcError) -> bytes:
    """The line of an answer that is an error; of what was no message the id is null."""
    error = {"code": fault.code, "message": str(fault), "data": fault.data}
    return _line({"id": id_, "error": error})


def notification(method: str, params: Message) -> bytes:
    """The line of a notification."""
    stamp = time.time_ns() // 1_000_000
    return _line({"method": method, "params": params, "emittedAtMs": stamp})


def _line(message: Message) -> bytes:
    # Texts of rollouts may hold what no UTF-8 has; every other character stays.
    try:
        return orjson.dumps(message) + b"\n"
    except TypeError:
        return orjson.dumps(storable(message)) + b"\n"
