"""Our errors in Codex's words, with the keys for programs (docs/protocol.md#errors)."""

from typing import Final

from cli.errors import outcome
from cli.server.protocol.messages import (
    INTERNAL,
    INVALID_PARAMS,
    INVALID_REQUEST,
    UNSUPPORTED,
    RpcError,
)
from rollout.errors import RolloutError, TurnNotFound, WriterActive
from state import errors

_LOADED_METHODS: Final = ("thread/read", "thread/turns/list", "thread/unsubscribe")
_ITEM_METHODS: Final = ("thread/items/list", "thread/items/read")
_SETTERS: Final = {
    "thread/memoryMode/set": "set thread memory mode",
    "thread/metadata/update": "update thread metadata",
}
_UNARCHIVE_FIRST: Final = ("thread/resume", "thread/fork")
_CURSOR_HINT: Final = "start without a cursor, or repeat the params it came from"
_CLIENT_ERRORS: Final = (errors.InvalidChange, errors.InvalidFolder, errors.InvalidQuery)
"""Errors that another request would avoid."""


def rpc_error(error: errors.StateError | RolloutError, method: str, thread_id: str) -> RpcError:
    """The answer to a request that failed with ``error``."""
    found = outcome(error)
    code, text = _text(error, method, thread_id)
    hint = _CURSOR_HINT if isinstance(error, errors.InvalidCursor) else found.hint
    return RpcError(code, text, found.kind, retryable=found.retryable, hint=hint)


def _text(error: errors.StateError | RolloutError, method: str, thread_id: str) -> tuple[int, str]:
    match error:
        case errors.ThreadNotFound() if method in _ITEM_METHODS:
            return UNSUPPORTED, f"{method} is not supported yet"
        case errors.ThreadNotFound() if method in _LOADED_METHODS:
            return INVALID_REQUEST, f"thread not loaded: {thread_id}"
        case errors.NotArchived():
            return INVALID_REQUEST, f"no archived rollout found for thread id {thread_id}"
        case errors.ThreadNotFound() if method == "thread/unarchive":
            return INVALID_REQUEST, f"no archived rollout found for thread id {thread_id}"
        case errors.ThreadArchived() if method in _UNARCHIVE_FIRST:
            how = f"Run `codex unarchive {thread_id}` to unarchive it first."
            return INVALID_REQUEST, f"session {thread_id} is archived. {how}"
        case errors.ThreadNotFound() | errors.ThreadArchived() | errors.AlreadyArchived():
            return INVALID_REQUEST, f"no rollout found for thread id {thread_id}"
        case WriterActive() if method in _SETTERS:
            what = _SETTERS[method]
            why = f"thread-store conflict: thread {thread_id} already has an active writer"
            how = f"Fatal error: failed to update thread metadata {thread_id}: {why}"
            return INTERNAL, f"failed to {what}: {how}"
        case WriterActive():
            return INVALID_REQUEST, f"thread {error.thread_id} already has an active writer"
        case errors.HasDependents():
            why = "forked history still references it"
            return INVALID_REQUEST, f"cannot delete thread {error.thread_id}: {why}"
        case errors.InvalidName():
            return INVALID_REQUEST, f"thread name {error.reason}"
        case errors.CursorNotInHistory():
            return INVALID_REQUEST, f"invalid cursor: {error.reason}"
        case errors.ItemNotFound():
            text = "cursor.itemId does not identify an item in the requested history scope"
            return INVALID_PARAMS, text
        case errors.InvalidCursor():
            return INVALID_REQUEST, f"invalid cursor: {error.cursor}"
        case TurnNotFound():
            return INVALID_REQUEST, f"turn not found: {error.turn_id}"
    if isinstance(error, _CLIENT_ERRORS):
        return INVALID_REQUEST, str(error)
    return INTERNAL, str(error)
