"""Lists of a fleet are those of the index of the machine, page by page."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.db.steps import run_steps
from state.fleet.reading.index import FleetIndex
from state.fleet.reading.lists import filters, pages, walks
from state.query.listing import count_steps, page_steps
from state.query.model import Page, Query
from state.query.rows import Row
from tests.state.fleet.reading.opened import Opened
from tests.state.query.invented import QUERIES, fill
from tests.support.effort import examples
from tests.support.postgres.cluster import Cluster, new_fleet
from tests.support.postgres.copied import put_index

LISTS = QUERIES.map(lambda query: replace(query, limit=max(query.limit, 5)))
"""Of pages that are not too small: the first query that is tried has a list of 172."""


class Filled(NamedTuple):
    """A machine's index, and fleets that have it: alone, and with those of others."""

    local: sqlite3.Connection
    alone: FleetIndex
    among: FleetIndex
    opened: Opened


@pytest.fixture(scope="module")
def filled(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder = tmp_path_factory.mktemp("filled")
    own, other = folder / "own.sqlite3", folder / "other.sqlite3"
    fill(own, 300)
    fill(other, 340, seed=7)  # the same ids, and some more
    with (
        new_fleet(cluster) as fleet,
        closing(Opened()) as opened,
        closing(sqlite3.connect(own)) as local,
    ):
        for tenant in ("one", "two"):
            fleet.machine("laptop", tenant=tenant, user="ann")
            put_index(fleet, "laptop", own, tenant=tenant)
        fleet.machine("desktop", tenant="two", user="bob")
        put_index(fleet, "desktop", other, tenant="two")
        alone, among = (opened.fleet(own, fleet.reader(tenant=t)) for t in ("one", "two"))
        yield Filled(local, alone, among, opened)


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


@given(query=LISTS)
@examples(120)
def test_a_fleet_of_one_machine_has_its_lists(filled: Filled, query: Query) -> None:
    own = without_machines(local_pages(filled.local, query))
    assert without_machines(filled.opened.pages(filled.alone, query)) == own
    counted = filled.opened.run(lambda: filled.alone.count(query))
    assert counted._replace(most=None) == run_steps(count_steps(query), filled.local)
    named = replace(query, machine="laptop")
    assert without_machines(filled.opened.pages(filled.among, named)) == own
    assert filled.opened.run(lambda: filled.among.count(named)) == counted


@pytest.fixture
def as_if_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has few threads be found as many are."""
    for module, name, few in (
        (pages, "MOST_SORTED", 4),
        (walks, "MOST_SORTED", 4),
        (filters, "_MOST_MARKED", 6),
        (filters, "_MOST_VALUES", 1),
        (walks, "_MOST_BRANCHES", 3),
    ):
        monkeypatch.setattr(module, name, few)


@pytest.mark.usefixtures("as_if_many")
@pytest.mark.parametrize("merged", [0, 24])
@given(query=LISTS)
@examples(80)
def test_many_threads_are_found_where_few_are(filled: Filled, merged: int, query: Query) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walks, "_MOST_MERGED", merged)
        found = filled.opened.pages(filled.alone, query)
        counted = filled.opened.run(lambda: filled.alone.count(query))
    assert without_machines(found) == without_machines(local_pages(filled.local, query))
    assert counted._replace(most=None) == run_steps(count_steps(query), filled.local)


@given(query=LISTS, users=st.sampled_from([("ann",), ("bob",), ("ann", "bob")]))
@examples(60)
def test_users_choose_by_the_newest_copy(
    filled: Filled, query: Query, users: tuple[str, ...]
) -> None:
    every = [row for page in filled.opened.pages(filled.among, query) for row in page.rows]
    chosen = [row["id"] for row in every if row["user"] in users]
    found = filled.opened.pages(filled.among, replace(query, users=users))
    assert [row["id"] for page in found for row in page.rows] == chosen


def test_a_user_whose_last_machine_has_just_gone_has_an_empty_list(filled: Filled) -> None:
    query = Query(users=("carol",), sort_key="recency_at", since_ms=1)  # known a moment ago
    read = partial(pages.page_steps, query, filters.Known())
    assert filled.opened.run(lambda: filled.among.read(read)).rows == []
