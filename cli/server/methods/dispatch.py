"""From a request to the method that answers it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cli.server.methods.call import Call
from cli.server.methods.registry import METHODS, OF_CODEX, Method
from cli.server.protocol.errors import rpc_error
from cli.server.protocol.messages import UNSUPPORTED, Id, Request, RpcError, invalid_request
from cli.server.protocol.params import parse_params
from rollout.errors import RolloutError
from state.errors import StateError

if TYPE_CHECKING:
    from cli.server.core.client import Client


async def dispatch(
    session: "Client", request: Request, request_id: Id, after: list[Callable[[], None]]
) -> Any:
    """The result of a request; ``after`` gets what is to be done when it has been sent.

    Raises:
        RpcError: it has none.
    """
    method = METHODS.get(request.method)
    if method is None and request.method not in OF_CODEX:
        raise _unknown(request.method)
    if session.info is None:
        raise invalid_request("Not initialized", "not_initialized")
    if method is None:
        text = f"{request.method} is not supported: threadkeep keeps threads, and runs no model"
        raise RpcError(UNSUPPORTED, text, "unsupported_method")
    if method.experimental and not session.experimental:
        raise _experimental(request.method)
    params = parse_params(request, method.params)
    if not session.experimental:
        _check_fields(request, method)
    try:
        return await method.work(Call(session, request.method, request_id, after), params)
    except (StateError, RolloutError) as error:
        if isinstance(error, StateError):
            (await session.service.supervisor()).note_lost(error)
        thread_id = str(getattr(params, "thread_id", ""))
        raise rpc_error(error, request.method, thread_id) from error


def _check_fields(request: Request, method: Method) -> None:
    for field in method.experimental_fields:
        value = request.params
        for name in field.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            raise _experimental(f"{request.method}.{field}")


def _experimental(what: str) -> RpcError:
    text = f"{what} requires experimentalApi capability"
    return invalid_request(text, "experimental")


def _unknown(method: str) -> RpcError:
    known = ", ".join(f"`{name}`" for name in ("initialize", *METHODS))
    text = f"Invalid request: unknown variant `{method}`, expected one of {known}"
    return invalid_request(text, "unknown_method")
