"""Tenants never see each other, whatever they ask for."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.db.steps import Steps
from state.errors import InvalidQuery
from state.fleet.reading.index import FleetIndex
from state.fleet.reading.scope import Machine, Scope
from state.query.model import Query
from tests.samples.homes import thread_id
from tests.state.fleet.reading.opened import Opened
from tests.state.query.invented import QUERIES, fill
from tests.support.effort import examples
from tests.support.postgres.cluster import Cluster, new_fleet
from tests.support.postgres.copied import put_index

IDS = (
    ("threads", "id"),
    ("user_data", "thread_id"),
    ("thread_spawn_edges", "child_thread_id"),
    ("thread_spawn_edges", "parent_thread_id"),
)


class Tenants(NamedTuple):
    """Two tenants with a machine of the same name, whose threads have other ids."""

    ours: FleetIndex
    theirs: FleetIndex
    opened: Opened


@pytest.fixture(scope="module")
def tenants(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenants]:
    folder = tmp_path_factory.mktemp("tenants")
    with new_fleet(cluster) as fleet, closing(Opened()) as opened:
        readers = []
        for tenant in ("ours", "theirs"):
            index = folder / f"{tenant}.sqlite3"
            fill(index, 200, seed=len(tenant))
            if tenant == "theirs":
                with closing(sqlite3.connect(index)) as local:
                    local.execute("PRAGMA foreign_keys = OFF")
                    for table, column in IDS:
                        local.execute(f"UPDATE {table} SET {column} = 'ff' || substr({column}, 3)")
                    local.commit()
            fleet.machine("laptop", tenant=tenant, user=tenant)
            put_index(fleet, "laptop", index, tenant=tenant)
            readers.append(opened.fleet(index, fleet.reader(tenant=tenant)))
        yield Tenants(readers[0], readers[1], opened)


@given(query=QUERIES, machine=st.sampled_from([None, "laptop"]))
@examples(60)
def test_random_queries_see_threads_of_the_own_tenant(
    tenants: Tenants, query: Query, machine: str | None
) -> None:
    query = replace(query, machine=machine, limit=100)
    for reader, begin in ((tenants.ours, "01"), (tenants.theirs, "ff")):
        for page in tenants.opened.pages(reader, query):
            assert all(row["id"].startswith(begin) for row in page.rows)
            assert all(row["machines"] == ["laptop"] for row in page.rows)


def test_ids_users_and_machines_of_another_tenant_are_unknown(tenants: Tenants) -> None:
    ours, theirs, opened = tenants
    foreign = "ff" + thread_id(3)[2:]
    assert opened.run(lambda: theirs.rows_of([foreign])).keys() == {foreign}
    assert opened.run(lambda: ours.rows_of([foreign])) == {}
    assert opened.run(lambda: ours.resolve(foreign)) == []
    with pytest.raises(InvalidQuery, match="no user of the fleet is called 'theirs'"):
        opened.run(lambda: ours.page(Query(users=("theirs",))))


def test_who_takes_itself_for_another_tenant_or_machine_sees_nothing(tenants: Tenants) -> None:
    """The client says in each statement which tenant it reads: that is for speed alone."""
    ours, theirs, opened = tenants
    [machine] = opened.run(theirs.machines)
    for scope in (
        theirs.database.scope,
        Scope(theirs.database.scope.tenant_id, machine),
        Scope(ours.database.scope.tenant_id, Machine(machine.machine_id, "laptop", "theirs")),
    ):
        for table in ("threads", "user_data", "copied_data", "machines", "copies"):
            seen = opened.run(partial(count, ours, table, scope))
            is_own = scope.tenant_id == ours.database.scope.tenant_id
            assert bool(seen) == (is_own and table in ("copied_data", "machines", "copies"))


async def count(index: FleetIndex, table: str, scope: Scope) -> int:
    """How many rows of a view a reader sees who takes itself for somebody."""

    def counted() -> Steps[int]:
        rows = yield f"SELECT count(*) FROM {table}", []
        return int(rows[0][0])

    return await index.database.query(counted(), scope)
