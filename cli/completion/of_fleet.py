"""What completion offers of a fleet, as far as that answers at once."""

from collections.abc import Iterator
from contextlib import suppress
from threading import Thread
from typing import Final

from cli.completion.line import Line

_WAIT_S: Final = 0.4
"""Nobody waits longer for the word at the cursor."""
_MOST: Final = 1_000
_SQL: Final = (
    "SELECT name, user_name FROM threadkeep_index.machines"
    " WHERE tenant_id = threadkeep.my_tenant() AND starts_with({}, %s)"
    f" ORDER BY revoked_at IS NOT NULL, pushed_at DESC NULLS LAST, name LIMIT {_MOST}"
)


def machines(line: Line, current: str) -> Iterator[tuple[str, str]]:
    """The machines of a fleet, each with its user, those that pushed last first, and revoked ones
    behind them."""
    yield from _read(line, "name", current)


def users(line: Line, current: str) -> Iterator[tuple[str, str]]:
    """Their users."""
    named = (user for _, user in _read(line, "user_name", current) if user)
    yield from ((user, "") for user in dict.fromkeys(named))


def addresses(_: Line, current: str) -> Iterator[tuple[str, str]]:
    """The address of the configured fleet, and how others begin."""
    from cli.errors import WrongUsage
    from cli.fleet.config import address

    begin = "postgresql://"
    with suppress(WrongUsage):
        if (known := address(None)).startswith(current):
            yield known, "the configured fleet"
            return
    if begin.startswith(current):
        yield begin, "USER@HOST/DATABASE"


def _read(line: Line, column: str, current: str) -> list[tuple[str, str]]:
    import psycopg  # noqa: F401 - what it takes to load is not waiting for the fleet

    from cli.fleet.config import address
    from state.fleet.server.connect import administrator

    where = address((line.given.get("fleet") or [""])[-1])
    found: list[tuple[str, str]] = []

    def read() -> None:
        with suppress(Exception), administrator(where) as connection:
            found.extend(connection.execute(_SQL.format(column), [current]).fetchall())

    reading = Thread(target=read, daemon=True)  # the end of the program does not wait for it
    reading.start()
    reading.join(_WAIT_S)
    return [row for row in found if all(value.isprintable() for value in row)]
