"""What recording costs. Each figure is for the work named, its loop and store being open."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from rollout.schema.modes import PAGINATED
from rollout.writing.appender import RolloutAppender, timestamp
from rollout.writing.new_thread import first_line, rollout_path
from state.thread_store import ThreadStore, open_store
from tests.samples.talk import message, new_thread, turn

ITEMS = 50_000
LIVE = 1_000


class Loop:
    """One event loop with an open store."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        (self.home / "sessions").mkdir(parents=True)
        self._runner = asyncio.Runner()
        self._context = open_store(self.home, folder / "index.sqlite3")
        self.store: ThreadStore = self.run(self._context.__aenter__())

    def run(self, work: Any) -> Any:
        return self._runner.run(work)

    def close(self) -> None:
        self.run(self._context.__aexit__(None, None, None))
        self._runner.close()


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    opened = Loop(tmp_path)
    yield opened
    opened.close()


async def _begun(store: ThreadStore) -> str:
    id_ = await store.create_thread(new_thread())
    await store.append_items(id_, turn(PAGINATED, id_, 1, "question", "answer"))
    await store.flush_thread(id_)
    return id_


def test_append_through_the_store(benchmark: BenchmarkFixture, loop: Loop) -> None:
    """50,000 small items, one by one, and a flush; the index follows."""

    async def work(id_: str) -> None:
        for number in range(ITEMS):
            await loop.store.append_items(id_, [message("assistant", f"answer {number}")])
        await loop.store.flush_thread(id_)

    id_ = loop.run(_begun(loop.store))
    benchmark.pedantic(lambda: loop.run(work(id_)), rounds=5)  # type: ignore[no-untyped-call]


def test_index_update(benchmark: BenchmarkFixture, loop: Loop) -> None:
    """What the index takes in after 50,000 items: of them there are at most four a second."""
    thread = new_thread()
    path = rollout_path(thread.id, datetime.now())
    writer = RolloutAppender(loop.home / path, new=True, next_ordinal=0)
    writer.write(writer.encode([first_line(thread, timestamp(), None)]))

    def more() -> None:
        items = [message("assistant", f"answer {number}") for number in range(ITEMS)]
        writer.write(writer.encode(items))

    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: loop.run(loop.store.index.refresh([path])), setup=more, rounds=10
    )


@pytest.mark.parametrize("durable", [False, True])
def test_flush(durable: bool, benchmark: BenchmarkFixture, loop: Loop) -> None:
    """One item and a flush; see the median."""

    async def work(id_: str) -> None:
        await loop.store.append_items(id_, [message("assistant", "answer")])
        await loop.store.flush_thread(id_, durable=durable)

    id_ = loop.run(_begun(loop.store))
    benchmark.pedantic(lambda: loop.run(work(id_)), rounds=2000)  # type: ignore[no-untyped-call]


def test_a_thousand_live_threads(benchmark: BenchmarkFixture, loop: Loop) -> None:
    """A turn in each of 1,000 threads that are live at once, and a flush of each."""

    async def begun() -> list[str]:
        ids = [await loop.store.create_thread(new_thread()) for _ in range(LIVE)]
        await asyncio.gather(*(loop.store.persist_thread(id_) for id_ in ids))
        return ids

    async def work(ids: list[str]) -> None:
        for id_ in ids:
            await loop.store.append_items(id_, turn(PAGINATED, id_, 1, "question", "answer"))
        await asyncio.gather(*(loop.store.flush_thread(id_) for id_ in ids))

    ids = loop.run(begun())
    benchmark.pedantic(lambda: loop.run(work(ids)), rounds=5)  # type: ignore[no-untyped-call]
