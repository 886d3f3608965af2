"""Whom a server of a fleet is to show."""

from contextlib import suppress

from cli.arguments.locations import Locations


def check_seen(here: Locations) -> None:
    """Look, before a server begins, whether a fleet has the machine and the users that it is to
    show. While the fleet is away, it begins all the same. Raises InvalidQuery if it has not."""
    if here.fleet is None or not (here.machine or here.users):
        return
    from cli.runtime.open_index import read_index
    from state.errors import FleetError
    from state.thread_index import ThreadIndex

    async def nothing(_: ThreadIndex) -> None: ...

    with suppress(FleetError):
        read_index(here, nothing)
