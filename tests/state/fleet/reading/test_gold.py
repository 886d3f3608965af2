"""Every list that was recorded of the real Codex is the same from a fleet as from the index."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from state.db.derived_columns import SORT_KEYS
from state.fleet.reading.index import FleetIndex
from tests.samples.gold import exchanges
from tests.state.fleet.reading.opened import Opened
from tests.state.fleet.reading.test_pages import local_pages, without_machines
from tests.state.query.test_gold import LISTS, query_of
from tests.support.each import each
from tests.support.effort import sample
from tests.support.postgres.cluster import Cluster, new_fleet
from tests.support.postgres.copied import put_index


@pytest.fixture(scope="module")
def opened(cluster: Cluster, corpus_index: Path) -> Iterator[tuple[Opened, FleetIndex]]:
    with new_fleet(cluster) as fleet, closing(Opened()) as opened:
        fleet.machine("laptop")
        put_index(fleet, "laptop", corpus_index)
        yield opened, opened.fleet(corpus_index, fleet.reader())


def test_recorded_lists_are_those_of_the_index(
    opened: tuple[Opened, FleetIndex], corpus_index: Path
) -> None:
    loop, fleet = opened
    with closing(sqlite3.connect(corpus_index)) as local:

        def check(name: str) -> None:
            query = query_of(exchanges(name)[0][0])
            for every in {query.all_sources, True}:
                for key in SORT_KEYS:
                    asked = replace(query, sort_key=key, all_sources=every)
                    found = without_machines(loop.pages(fleet, asked))
                    assert found == without_machines(local_pages(local, asked)), (name, key)

        each(sample(LISTS), check)
