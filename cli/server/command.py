"""Commands that only read, run for who has no time to load the program: see :mod:`cli.asking`."""

import asyncio
from typing import Any

from cli import output
from cli.asking import SERVED, identity
from cli.server import params as p
from cli.server.call import Call
from cli.server.messages import OVERLOADED, Fault, invalid_request
from cli.serving import SERVING

_PATIENCE_S = 30.0


class Command(p.Params):
    """``threadkeep/command``."""

    program: list[int]
    args: list[str]
    terminal: bool
    columns: p.U32
    environment: dict[str, str]


async def command(call: Call, params: Command) -> dict[str, Any]:
    """Run a command on the index that is open here.

    Raises:
        Fault: it is better run by itself, whatever the reason: it would tell that properly.
    """
    if not params.args or params.args[0] not in SERVED:
        raise invalid_request("this command is not run by a server", "not_served")
    if params.program != identity():
        raise invalid_request("the server is another program", "not_served")
    store = await call.store()
    keeper = await call.session.service.keeper()
    if not keeper.complete:
        raise Fault(OVERLOADED, "the index is not in step yet", "not_served", retryable=True)
    loop = asyncio.get_running_loop()

    def serve(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work(store.index), loop).result(_PATIENCE_S)

    screen = output.Screen(params.terminal, params.columns, params.environment)

    def run() -> int:
        SERVING.set(serve)  # in the context of this thread's work only
        output.elsewhere.set(screen)
        return call.session.service.program(params.args)

    try:
        status = await asyncio.to_thread(run)
    except Exception as error:
        raise invalid_request(f"it is better run by itself: {error}", "not_served") from error
    return {
        "status": status,
        "out": screen.out.decode("utf-8", "replace"),
        "said": screen.said,
    }
