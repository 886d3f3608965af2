"""Passes a request to the method that answers it."""

from collections.abc import Callable
from typing import Any

from cli.server.core.client import Client
from cli.server.core.service import Service
from cli.server.methods.call import Call
from cli.server.methods.registry import METHODS, OF_FLEETS, Method
from cli.server.methods.unsupported import OF_CODEX
from cli.server.protocol.errors import rpc_error
from cli.server.protocol.messages import UNSUPPORTED, Request, RpcError, invalid_request
from cli.server.protocol.params import parse_params
from rollout.errors import RolloutError
from state.errors import StateError


async def dispatch(
    service: Service, client: Client, request: Request, notifications: list[Callable[[], None]]
) -> Any:
    """The result of a request; ``notifications`` gets what is to be sent after it. Raises RpcError
    if it has none."""
    method = METHODS.get(request.method)
    if method is None and request.method not in OF_CODEX:
        raise _unknown(request.method)
    if client.info is None:
        raise invalid_request("Not initialized", "not_initialized")
    if method is None:
        text = f"{request.method} is not supported: threadkeep keeps threads, and runs no model"
        raise RpcError(UNSUPPORTED, text, "unsupported_method")
    if method.experimental and not client.experimental:
        raise _experimental(request.method)
    if service.locations.fleet is not None and request.method not in OF_FLEETS:
        text = f"{request.method} is not supported for a fleet: it is only read"
        hint = "ask a server of the machine that has the thread"
        raise RpcError(UNSUPPORTED, text, "unsupported_method", hint=hint)
    params = parse_params(request, method.params)
    if not client.experimental:
        _check_fields(request, method)
    call = Call(service, client, request.method, request.id, notifications)
    try:
        return await method.work(call, params)
    except (StateError, RolloutError) as error:
        if isinstance(error, StateError):
            (await service.supervisor()).note_lost(error)
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
