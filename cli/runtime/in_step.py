"""Answer from an index that is in step with the files, by a plain connection."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from cli.arguments.locations import Locations
from cli.terminal.delegated import DELEGATED
from state.errors import SQLITE_ERRORS
from state.query.oneshot import IndexReader

Result = TypeVar("Result")


def in_step(
    here: Locations, work: Callable[[IndexReader], Result | None], *, scan: bool = True
) -> Result | None:
    """The result of ``work`` on an index that is up to date, which with ``scan`` a comparison with
    the files decides. None if it is not, if a fleet is read or a server carries the command out,
    or if something is wrong: whoever opens the index then says what, and repairs it where that is
    possible."""
    if DELEGATED.get() is None and here.fleet is None:
        with (
            suppress(*SQLITE_ERRORS),
            IndexReader.opened(here.home, here.index, scan=scan) as reader,
        ):
            return None if reader is None else work(reader)
    return None
