"""Commands that only read, run for a client that would take longer to load the program: see
:mod:`cli.remote.client`."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from cli.remote.client import PATIENCE_S, identity, is_served
from cli.server.methods.call import Call
from cli.server.protocol import params as p
from cli.server.protocol.messages import OVERLOADED, RpcError, invalid_request
from cli.terminal.delegated import DELEGATED, Delegated
from rollout.files.cancellation import check_cancelled
from state.thread_index import ThreadIndex


class CommandParams(p.Params):
    """``threadkeep/command``."""

    program: list[int]
    args: list[str]
    terminal: bool
    columns: p.U32
    lines: p.U32
    environment: dict[str, str]


async def command(call: Call, params: CommandParams) -> dict[str, Any]:
    """Run a command on the open index. It ends when its client is gone or has waited long enough.
    Raises RpcError if the client should run it, whatever the reason: then it reports that properly.
    """
    if not is_served(params.args):
        raise invalid_request("this command is not run by a server", "not_served")
    if params.program != identity():
        raise invalid_request("the server is another program", "not_served")
    if params.environment.get("TZ") != os.environ.get("TZ"):
        raise invalid_request("the server has another time zone", "not_served")
    store = await call.store()
    service = call.service
    supervisor = await service.supervisor()
    if not supervisor.complete:
        raise RpcError(OVERLOADED, "the index is not up to date yet", "not_served", retryable=True)
    running = _Running(store.index)
    client = Delegated(
        running.serve, params.terminal, params.columns, params.lines, params.environment
    )

    def run() -> int:
        DELEGATED.set(client)  # for this thread's work only
        return service.program(params.args)

    try:
        async with asyncio.timeout(PATIENCE_S):
            status = await service.commands.run(run, stopped=running.stop)
    except (Exception, SystemExit) as error:
        raise invalid_request(f"run it without a server: {error!r}", "not_served") from error
    return {
        "status": status,
        "out": client.out.decode("utf-8", "replace"),
        "messages": client.messages,
    }


class _Running:
    """Runs a command's work on the index in the event loop, while the command's thread waits."""

    def __init__(self, index: ThreadIndex) -> None:
        self._index = index
        self._loop = asyncio.get_running_loop()
        self._works: set[Future[Any]] = set()

    def serve(self, work: Callable[[ThreadIndex], Awaitable[Any]]) -> Any:
        """The result of work on the index. Called in the command's thread. Raises Cancelled if the
        client is gone."""

        async def done() -> Any:
            return await work(self._index)

        future = asyncio.run_coroutine_threadsafe(done(), self._loop)
        self._works.add(future)
        try:
            check_cancelled()
            return future.result()
        except BaseException:
            future.cancel()
            check_cancelled()
            raise

    def stop(self) -> None:
        """Cancel all work. Called in the event loop."""
        for future in list(self._works):
            future.cancel()
