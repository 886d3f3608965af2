"""What turns and items of long threads cost. Run with ``pytest tests/bench/parts/test_history.py``;
``BENCH_BIG_MB`` is the size of the long ones."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from rollout.schema.modes import LEGACY, PAGINATED
from rollout.schema.strict import Fields
from state.thread_store import ThreadStore, open_store
from state.turns.answers import TurnAnswers
from state.turns.pages import ItemQuery, PageQuery
from tests.bench.long import write_long
from tests.bench.parts.conftest import BIG_MB
from tests.samples.homes import thread_id

MODES = (LEGACY, PAGINATED)
LONG = {LEGACY: 1, PAGINATED: 2}
SHORT = {LEGACY: 3, PAGINATED: 4}


@pytest.fixture(scope="module")
def long_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of each mode a thread of many megabytes and one of 100 KB."""
    home = tmp_path_factory.mktemp("long") / "home"
    for mode in MODES:
        write_long(home, LONG[mode], mode, BIG_MB * 10**6)
        write_long(home, SHORT[mode], mode, 10**5)
    return home


class Store:
    """A store that is open in a loop of its own, so that only the work is timed."""

    def __init__(self, home: Path, index: Path) -> None:
        self._runner = asyncio.Runner()
        self._context = open_store(home, index)
        self.store: ThreadStore = self._runner.run(self._context.__aenter__())
        self._runner.run(self.store.index.sync())

    def ask(self, number: int, work: Callable[[TurnAnswers], Fields]) -> Fields:
        return self._runner.run(self.store.with_turns(thread_id(number), work))

    def close(self) -> None:
        self._runner.run(self._context.__aexit__(None, None, None))
        self._runner.close()


@pytest.fixture
def opened(long_home: Path, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens stores with indexes that have no turns."""
    stores: list[Store] = []

    def new() -> Store:
        while stores:
            stores.pop().close()
        stores.append(Store(long_home, tmp_path / f"{next(numbers)}.sqlite3"))
        return stores[-1]

    numbers = itertools.count()
    yield new
    for store in stores:
        store.close()


def turns(number: int, *, view: Any = "summary", **query: Any) -> Callable[[TurnAnswers], Fields]:
    asked = PageQuery(thread_id(number), **query)
    return partial(TurnAnswers.turns, query=asked, view=view)


@pytest.mark.parametrize("mode", MODES)
def test_first_page_of_a_long_thread_that_was_never_seen(
    mode: str, opened: Callable[[], Store], benchmark: BenchmarkFixture
) -> None:
    page = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda store: store.ask(LONG[mode], turns(LONG[mode])),
        setup=lambda: ((opened(),), {}),
        rounds=3,
    )
    assert len(page["data"]) == 25


@pytest.mark.parametrize("view", ["summary", "full"])
@pytest.mark.parametrize("mode", MODES)
def test_later_pages_of_a_long_thread(
    mode: str, view: str, opened: Callable[[], Store], benchmark: BenchmarkFixture
) -> None:
    store = opened()
    number = LONG[mode]
    first = store.ask(number, turns(number, descending=False))
    work = turns(number, view=view, descending=False, cursor=first["nextCursor"])
    page = benchmark(lambda: store.ask(number, work))
    assert len(page["data"]) == 25


@pytest.mark.parametrize("mode", MODES)
def test_a_page_of_a_thread_of_100_kb(
    mode: str, opened: Callable[[], Store], benchmark: BenchmarkFixture
) -> None:
    store = opened()
    number = SHORT[mode]

    def forgotten() -> None:
        store.store.turns._kept.clear()  # the price of the first time, each time

    page = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: store.ask(number, turns(number)), setup=forgotten, rounds=200
    )
    assert page["data"]


def test_a_page_of_items_of_a_long_thread(
    opened: Callable[[], Store], benchmark: BenchmarkFixture
) -> None:
    store = opened()
    number = LONG[PAGINATED]
    first = store.ask(number, partial(TurnAnswers.items, query=ItemQuery(thread_id(number))))
    query = ItemQuery(thread_id(number), first["nextCursor"])
    page = benchmark(lambda: store.ask(number, partial(TurnAnswers.items, query=query)))
    assert len(page["data"]) == 25


@pytest.mark.parametrize("mode", MODES)
def test_first_page_from_the_stored_index(
    mode: str, opened: Callable[[], Store], benchmark: BenchmarkFixture
) -> None:
    store = opened()
    number = LONG[mode]
    store.ask(number, turns(number, descending=False))

    async def settled() -> None:
        await asyncio.gather(*store.store.turns._storing)
        store.store.turns._kept.clear()

    page = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: store.ask(number, turns(number)),
        setup=lambda: store._runner.run(settled()),
        rounds=20,
    )
    assert len(page["data"]) == 25


@pytest.mark.parametrize("mode", MODES)
def test_a_page_after_a_line_was_added(
    mode: str, opened: Callable[[], Store], benchmark: BenchmarkFixture
) -> None:
    store = opened()
    number = LONG[mode]
    store.ask(number, turns(number, descending=False))

    async def add() -> None:
        row = await store.store.read_thread(thread_id(number))
        with (store.store.home / row["rollout_path"]).open("ab") as file:
            file.write(b'{"timestamp":"2026-05-28T20:00:00.000Z","type":"of_the_future"}\n')

    page = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: store.ask(number, turns(number)),
        setup=lambda: store._runner.run(add()),
        rounds=30,
    )
    assert len(page["data"]) == 25
