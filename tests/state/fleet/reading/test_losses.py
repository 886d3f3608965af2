"""A fleet whose connections break, whose server starts anew, or that is a standby."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from state.db.steps import Steps
from state.errors import FleetError, FleetLost
from state.fleet.reading.index import FleetIndex
from state.query.model import Query
from tests.state.fleet.reading.opened import Opened
from tests.state.query.invented import fill
from tests.support.postgres.cluster import Cluster, Fleet, new_fleet
from tests.support.postgres.copied import put_index

QUERY = Query(sort_key="recency_at", limit=7)


@pytest.fixture(scope="module")
def filled(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Fleet, Path]]:
    index = tmp_path_factory.mktemp("index") / "index.sqlite3"
    fill(index, 60)
    with new_fleet(cluster) as fleet:
        fleet.machine("laptop")
        put_index(fleet, "laptop", index)
        yield fleet, index


def end_connections(fleet: Fleet) -> None:
    """What a server that is stopped does to those who are connected."""
    with psycopg.connect(fleet.admin, autocommit=True) as admin:
        ended = admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = %s AND pid <> pg_backend_pid()",
            [fleet.database],
        ).fetchall()
    assert ended


def test_a_server_that_starts_anew_between_two_pages_goes_unnoticed(
    filled: tuple[Fleet, Path],
) -> None:
    fleet, index = filled
    with closing(Opened()) as opened:
        reading = opened.fleet(index, fleet.reader("between"))
        whole = [row["id"] for page in opened.pages(reading, QUERY) for row in page.rows]
        first = opened.run(lambda: reading.page(QUERY))
        end_connections(fleet)
        following = opened.pages(reading, replace(QUERY, cursor=first.next_cursor))
        rows = [*first.rows, *(row for page in following for row in page.rows)]
        assert [row["id"] for row in rows] == whole


def test_a_connection_that_breaks_in_a_read_is_replaced_once(filled: tuple[Fleet, Path]) -> None:
    fleet, index = filled
    broken: list[bool] = []

    def breaking(times: int) -> Steps[list[Any]]:
        first = yield "SELECT count(*) FROM threads", []
        if len(broken) < times:
            broken.append(True)
            end_connections(fleet)
        return [*first, *(yield ("SELECT count(*) FROM threads", []))]

    with closing(Opened()) as opened:
        reading = opened.fleet(index, fleet.reader("within"))
        assert opened.run(lambda: reading.read(lambda: breaking(1))) == [(60,), (60,)]
        broken.clear()
        with pytest.raises(FleetLost):
            opened.run(lambda: reading.read(lambda: breaking(9)))
        assert opened.run(lambda: reading.page(QUERY)).rows


def test_a_read_that_is_given_up_leaves_no_statement_behind(filled: tuple[Fleet, Path]) -> None:
    fleet, index = filled
    reads: list[asyncio.Task[None]] = []

    def slow() -> Steps[None]:
        asyncio.get_running_loop().call_soon(reads[0].cancel)
        yield "SELECT count(*) FROM threads, threads t, threads u, threads v, threads w", []

    async def given_up(reading: FleetIndex) -> None:
        reads.append(asyncio.create_task(reading.read(slow)))
        with pytest.raises(asyncio.CancelledError):
            await reads[0]
        assert (await reading.page(QUERY)).rows

    with closing(Opened()) as opened:
        reading = opened.fleet(index, fleet.reader("cancelled"))
        opened.run(lambda: given_up(reading))
        with psycopg.connect(fleet.admin) as admin:
            running = admin.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND datname = %s"
                " AND pid <> pg_backend_pid()",
                [fleet.database],
            ).fetchone()
        assert running == (0,)


def test_reads_change_nothing_and_need_no_server_that_can_be_written(
    filled: tuple[Fleet, Path],
) -> None:
    """As on a standby, which takes neither temporary tables nor numbers of transactions."""
    fleet, index = filled
    address = fleet.reader("standby") + " options='-c default_transaction_read_only=on'"
    with closing(Opened()) as opened:
        reading = opened.fleet(index, address)
        assert opened.run(lambda: reading.count(QUERY)).listed
        rows = opened.run(lambda: reading.page(QUERY)).rows
        assert opened.run(lambda: reading.spending([row["id"] for row in rows])) == {}

        def writing() -> Steps[None]:
            yield "CREATE TEMP TABLE t (n int)", []

        with pytest.raises(FleetError, match="read-only"):
            opened.run(lambda: reading.read(writing))
