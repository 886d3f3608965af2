"""The index of a server: at once, in step, and there again when what kept it away has passed."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cli.arguments.locations import Locations
from cli.runtime.serving.kept_index import KeptIndex
from rollout.errors import HomeNotFound
from state.errors import IndexMissing, ThreadNotFound
from state.query.model import Query
from tests.cli.web.support import small_home
from tests.support.command import thread_id, write_rollout
from tests.support.effort import PATIENCE_S


def in_kept(here: Locations, work: Callable[[KeptIndex], Awaitable[Any]], **options: bool) -> Any:
    """What ``work`` gives with the index kept."""

    async def run() -> Any:
        async with KeptIndex(here, **options) as kept, asyncio.timeout(PATIENCE_S):
            return await work(kept)

    return asyncio.run(run())


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    while not await holds():  # noqa: ASYNC110 - nothing notifies of it
        await asyncio.sleep(0.02)


async def ids(kept: KeptIndex) -> list[str]:
    page = await (await kept.store()).list_threads(Query())
    return [row["id"] for row in page.rows]


async def lists(kept: KeptIndex, count: int) -> None:
    """Wait until there are so many threads."""

    async def there_are() -> bool:
        return len(await ids(kept)) == count

    await until(there_are)


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All files below a folder, and when they changed."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_changes_of_a_thread_are_told(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def follow(kept: KeptIndex) -> None:
        appears = asyncio.ensure_future(anext(kept.changes(thread_id(4))))

        async def is_in_step() -> bool:
            return kept.is_in_step

        await until(is_in_step)
        write_rollout(here.home, 2, "other")
        write_rollout(here.home, 4)
        await appears
        assert thread_id(4) in await ids(kept)

    in_kept(here, follow)


def test_a_home_that_is_gone_and_comes_back(tmp_path: Path) -> None:
    here = small_home(tmp_path)
    aside = tmp_path / "aside"

    async def look(kept: KeptIndex) -> None:
        assert len(await ids(kept)) == 3
        here.home.rename(aside)
        with pytest.raises(HomeNotFound):
            await kept.store()
        aside.rename(here.home)
        assert len(await ids(kept)) == 3

    in_kept(here, look)
    here.home.rename(aside)

    async def begin_without(kept: KeptIndex) -> None:
        with pytest.raises(HomeNotFound):
            await kept.store()
        await asyncio.sleep(0.05)
        aside.rename(here.home)
        while True:
            try:
                assert len(await ids(kept)) == 3
            except HomeNotFound:
                await asyncio.sleep(0.05)
            else:
                return

    in_kept(here, begin_without)


def test_a_home_that_cannot_be_looked_at_for_a_while(tmp_path: Path) -> None:
    here = small_home(tmp_path)
    home = here.home.rename(tmp_path / "aside")
    here.home.symlink_to(here.home)

    async def look(kept: KeptIndex) -> None:
        with pytest.raises(OSError, match="symbolic links"):
            await kept.store()
        await asyncio.sleep(0.05)
        here.home.unlink()
        home.rename(here.home)

        async def is_seen() -> bool:
            with suppress(OSError):
                return len(await ids(kept)) == 3
            return False

        await until(is_seen)

    in_kept(here, look)


def test_an_index_that_is_removed_or_damaged_is_made_again(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def lose(kept: KeptIndex) -> None:
        first = (await kept.store()).index
        here.index.write_bytes(b"no database" * 1000)
        for path in here.index.parent.glob("index.sqlite3-*"):
            path.unlink()

        async def is_another() -> bool:
            return (await kept.store()).index is not first

        await until(is_another)
        await lists(kept, 3)

    in_kept(here, lose)
    assert [*here.index.parent.glob("*.damaged-1")]


def killed_writer(index: Path) -> None:
    """Leave what a killed process leaves beside an index."""
    program = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('UPDATE backfill_state SET fence = fence + 1'); os.kill(os.getpid(), 9)"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(index)], check=False)
    assert ran.returncode == -signal.SIGKILL
    assert index.with_name(f"{index.name}-wal").stat().st_size


@pytest.mark.parametrize("beside", ["nothing", "wal", "wal alone"])
def test_without_sync_not_a_byte_is_written(tmp_path: Path, beside: str) -> None:
    here = small_home(tmp_path)
    if beside != "nothing":
        killed_writer(here.index)
    if beside == "wal alone":
        here.index.with_name(f"{here.index.name}-shm").unlink()
    write_rollout(here.home, 2, "changed since")
    write_rollout(here.home, 4, "new since")
    before = everything(tmp_path)

    async def read(kept: KeptIndex) -> None:
        store = await kept.store()
        assert len(await ids(kept)) == 3
        for number in (1, 2):
            row = await store.read_thread(thread_id(number))
            assert row["title"] == f"prompt {number}"
        with pytest.raises(ThreadNotFound):
            await store.index.thread(thread_id(4))
        turns = await store.with_turns(thread_id(1), lambda answers: answers.all_turns())
        assert turns
        assert await kept.incomplete() == ""

    in_kept(here, read, sync=False)
    assert everything(tmp_path) == before


def test_without_sync_what_another_process_writes_is_seen(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def read(kept: KeptIndex) -> None:
        assert len(await ids(kept)) == 3
        write_rollout(here.home, 4)
        async with KeptIndex(here) as writing:
            await lists(writing, 4)
            assert len(await ids(kept)) == 4
        assert len(await ids(kept)) == 4

    in_kept(here, read, sync=False)


def test_without_sync_there_has_to_be_an_index(tmp_path: Path) -> None:
    here = Locations(tmp_path / "home", tmp_path / "index.sqlite3")
    write_rollout(here.home, 1)

    async def read(kept: KeptIndex) -> None:
        with pytest.raises(IndexMissing):
            await kept.store()

    in_kept(here, read, sync=False)
    assert not here.index.exists()
