"""Lists of a fleet are those of the index of the machine, page by page."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.db.steps import run_steps
from state.fleet.reading import pages
from state.fleet.reading.index import FleetIndex, open_fleet
from state.query.listing import count_steps, page_steps
from state.query.model import Page, Query
from state.query.rows import Row
from tests.state.query.invented import QUERIES, fill
from tests.support.effort import examples
from tests.support.postgres.cluster import Cluster, new_fleet
from tests.support.postgres.copied import put_index


@dataclass(frozen=True)
class Filled:
    """A machine's index, and fleets that have it: alone, and with those of others."""

    local: sqlite3.Connection
    alone: FleetIndex
    among: FleetIndex
    runner: "asyncio.Runner"

    def pages(self, index: FleetIndex, query: Query) -> list[Page]:
        """The pages of a fleet from the cursor of ``query`` on."""

        async def walked() -> list[Page]:
            pages = [await index.page(query)]
            while pages[-1].next_cursor:
                pages.append(await index.page(replace(query, cursor=pages[-1].next_cursor)))
                assert len(pages) < 1000
            return pages

        return self.runner.run(walked())


@pytest.fixture(scope="module")
def filled(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder = tmp_path_factory.mktemp("filled")
    own, other = folder / "own.sqlite3", folder / "other.sqlite3"
    fill(own, 300)
    fill(other, 340, seed=7)  # the same ids, and some more
    with (
        new_fleet(cluster) as fleet,
        asyncio.Runner() as runner,
        closing(sqlite3.connect(own)) as local,
    ):
        for tenant in ("one", "two"):
            fleet.machine("laptop", tenant=tenant, user="ann")
            put_index(fleet, "laptop", own, tenant=tenant)
        fleet.machine("desktop", tenant="two", user="bob")
        put_index(fleet, "desktop", other, tenant="two")
        opened = [open_fleet(folder, own, fleet.reader(tenant=tenant)) for tenant in ("one", "two")]
        alone, among = [runner.run(each.__aenter__()) for each in opened]
        yield Filled(local, alone, among, runner)
        for each in opened:
            runner.run(each.__aexit__(None, None, None))


def local_pages(connection: sqlite3.Connection, query: Query) -> list[Page]:
    """The pages of the machine's own index."""
    pages = [run_steps(page_steps(query), connection)]
    while pages[-1].next_cursor:
        after = replace(query, cursor=pages[-1].next_cursor)
        pages.append(run_steps(page_steps(after), connection))
    return pages


def without_machines(pages: list[Page]) -> list[Page]:
    """Pages with what the rows of an index have; where a file is on its disk, only it knows."""
    added = {"machine", "user", "machines", "machine_id"}

    def without(row: Row) -> Row:
        return {name: value for name, value in row.items() if name not in added} | {"inode": 0}

    return [page._replace(rows=[*map(without, page.rows)]) for page in pages]


@given(query=QUERIES)
@examples(300)
def test_a_fleet_of_one_machine_has_its_lists(filled: Filled, query: Query) -> None:
    own = without_machines(local_pages(filled.local, query))
    assert without_machines(filled.pages(filled.alone, query)) == own
    counted = filled.runner.run(filled.alone.count(query))
    assert counted._replace(most=None) == run_steps(count_steps(query), filled.local)
    named = replace(query, machine="laptop")
    assert without_machines(filled.pages(filled.among, named)) == own
    assert filled.runner.run(filled.among.count(named)) == counted


@pytest.fixture
def as_if_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has few threads be found as many are."""
    for name, few in (
        *(("MOST_SORTED", 4), ("_MOST_MARKED", 4), ("_SAMPLE", 12), ("_COMMON", 2)),
        *(("_MOST_VALUES", 1), ("_MOST_BRANCHES", 3)),
    ):
        monkeypatch.setattr(pages, name, few)


@pytest.mark.usefixtures("as_if_many")
@pytest.mark.parametrize("merged", [0, 24])
@given(query=QUERIES)
@examples(150)
def test_many_threads_are_found_where_few_are(filled: Filled, merged: int, query: Query) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "_MOST_MERGED", merged)
        found = filled.pages(filled.alone, query)
        counted = filled.runner.run(filled.alone.count(query))
    assert without_machines(found) == without_machines(local_pages(filled.local, query))
    assert counted._replace(most=None) == run_steps(count_steps(query), filled.local)


@given(query=QUERIES, users=st.sampled_from([("ann",), ("bob",), ("ann", "bob")]))
@examples(100)
def test_users_choose_by_the_newest_copy(
    filled: Filled, query: Query, users: tuple[str, ...]
) -> None:
    every = [row for page in filled.pages(filled.among, query) for row in page.rows]
    chosen = [row["id"] for row in every if row["user"] in users]
    found = filled.pages(filled.among, replace(query, users=users))
    assert [row["id"] for page in found for row in page.rows] == chosen
