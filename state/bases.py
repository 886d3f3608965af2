"""Where the files are that the histories of others begin in."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from rollout.history import Find
from rollout.paths import parse_name, precedence
from rollout.scan import scan_home, stat_file
from state.errors import StateError
from state.index import ThreadIndex
from state.schema import rollout_files


def finder(index: ThreadIndex) -> Find:
    """What finds a file by its rollout id, for a thread that works beside the running event loop;
    called in the loop itself it would wait for ever."""
    loop = asyncio.get_running_loop()

    def find(rollout_id: str) -> Path | None:
        return asyncio.run_coroutine_threadsafe(_file_of(index, rollout_id), loop).result()

    return find


async def _file_of(index: ThreadIndex, rollout_id: str) -> Path | None:
    """The file that has a rollout id in its name, the best of them: one that the index knows, as
    looking through a large home takes long, or else any that is there."""
    path = rollout_files.c.path
    found: list[str] = []
    with suppress(StateError):  # a broken index hides no file
        async with index.database.read() as connection:
            known = await connection.scalars(sa.select(path).where(path.contains(rollout_id)))
            found = [path for path in known if stat_file(index.home, path)]
    if not _best(found, rollout_id):
        files = await asyncio.to_thread(lambda: list(scan_home(index.home)))
        found = [file.path for file in files if file.ignored is None]
    best = _best(found, rollout_id)
    return index.home / best if best else None


def _best(paths: Iterable[str], rollout_id: str) -> str | None:
    fitting = [
        path
        for path in paths
        if (name := parse_name(path.rsplit("/", 1)[-1])) and name.rollout_id == rollout_id
    ]
    return max(fitting, key=precedence, default=None)
