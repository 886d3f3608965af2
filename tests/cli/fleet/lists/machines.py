"""The corpus on two machines of a fleet, for tests of the commands that read one."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from state.thread_index import open_index
from tests.support.command import Cli, Inside
from tests.support.postgres.cluster import Cluster, Fleet, new_fleet
from tests.support.postgres.copied import put_index, put_messages

LAPTOP_ONLY = 5
"""Threads that the desktop does not have."""


@dataclass(frozen=True)
class Machines:
    """Ann's laptop has the corpus, and Bob's desktop newer copies of nearly all of it."""

    fleet: Fleet
    cli: Cli
    """A reader's, on a machine without threads."""

    def document(self, command: str, *arguments: str, status: int | None = 0) -> dict[str, Any]:
        words = (command, "--fleet", *arguments, "--json")
        document: dict[str, Any] = self.cli.run(*words, status=status).json
        return document


@contextmanager
def corpus_machines(
    cluster: Cluster, corpus: Cli, base: Path, *, messages: bool = False
) -> Iterator[Machines]:
    """These machines; with ``messages``, the laptop has pushed those of its threads, too."""
    with new_fleet(cluster) as fleet:
        laptop = fleet.machine("laptop", user="ann")
        put_index(fleet, "laptop", corpus.index)
        fleet.machine("desktop", user="bob")
        put_index(fleet, "desktop", corpus.index)
        if messages:
            asyncio.run(_put_messages(fleet, laptop, corpus))
        with fleet.administered() as admin:
            of_desktop = (
                "machine_id = (SELECT machine_id FROM threadkeep.machines WHERE name = 'desktop')"
            )
            admin.execute(
                f"DELETE FROM threadkeep.threads WHERE {of_desktop} AND id IN (SELECT id FROM"
                f" threadkeep.threads WHERE {of_desktop} ORDER BY recency_at_ms DESC LIMIT %s)",
                [LAPTOP_ONLY],
            )
            admin.execute(
                "UPDATE threadkeep.threads SET updated_at_ms = updated_at_ms + 1, revision = 2"
                f" WHERE {of_desktop}"
            )
            admin.execute(
                "SELECT threadkeep.choose_newest(tenant_id, array_agg(id)) FROM threadkeep.threads"
                " GROUP BY tenant_id"
            )
        cli = Inside(base / "none", base, {"THREADKEEP_FLEET": fleet.reader()})
        yield Machines(fleet, cli)


async def _put_messages(fleet: Fleet, address: str, cli: Cli) -> None:
    async with open_index(cli.home, cli.index) as index:
        await put_messages(fleet, "laptop", address, index)
