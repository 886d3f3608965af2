"""A primary, and a standby that takes over: nothing that was pushed is lost for good."""

import asyncio
import itertools
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from state import errors
from state.fleet.push import push as pushing
from state.fleet.push.batch import send_batch
from state.fleet.push.push import Pushed, PushOptions, push
from state.fleet.reading.index import open_fleet
from state.fleet.server.admin.setup import initialize
from state.query.model import Query
from tests.samples.homes import thread_id, write
from tests.support.effort import PATIENCE_S
from tests.support.indexes import in_index, rows, sync
from tests.support.postgres import cluster as postgres
from tests.support.postgres.cluster import Cluster, Fleet
from tests.support.postgres.pushed import held, kept

pytestmark = pytest.mark.full
SETTINGS = ("wal_level=replica", "max_wal_senders=4")
FOLLOWS = "SELECT count(*) FROM pg_stat_wal_receiver"


@pytest.fixture
def servers(cluster: Cluster) -> Iterator[tuple[Cluster, Cluster]]:
    """A primary and its standby; the one that all tests share takes part in neither."""
    if not postgres.program("pg_basebackup").exists():
        pytest.skip("pg_basebackup is not there")
    folder = Path(tempfile.mkdtemp(prefix="threadkeep-"))
    started = []
    try:
        started.append(postgres.start(folder / "primary", *SETTINGS))
        with psycopg.connect(started[0].address("postgres"), autocommit=True) as admin:
            admin.execute("CREATE DATABASE fleet")
        initialize(started[0].address("fleet"))
        started.append(postgres.start_standby(folder / "standby", started[0], *SETTINGS))
        yield started[0], started[1]
    finally:
        for each in started:
            if (each.folder / "data" / "postmaster.pid").exists():
                postgres.stop(each.folder)
        shutil.rmtree(folder)


def ask(server: Cluster, sql: str) -> Any:
    with psycopg.connect(server.address("fleet"), autocommit=True) as admin:
        found = admin.execute(sql)
        return found.fetchall()[0][0] if found.description else None


def wait_until(server: Cluster, sql: str, wanted: object) -> None:
    until = time.monotonic() + PATIENCE_S
    while ask(server, sql) != wanted:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_standby_that_is_behind_takes_over(
    servers: tuple[Cluster, Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary, standby = servers
    fleet = Fleet(primary, "fleet", primary.address("fleet"))
    roles = [fleet.machine(name).rpartition("user=")[2] for name in ("one", "two")]
    homes = [tmp_path / name for name in ("one", "two")]
    both = (
        f"{primary.folder},{standby.folder} port={primary.port},{standby.port}"
        " target_session_attrs=read-write"
    )
    reader = fleet.reader().rpartition("user=")[2]
    fleet.close()

    def change(at: int, *numbers: int) -> None:
        for number in numbers:
            write(homes[at] / "home", number)
        sync(homes[at] / "home", homes[at] / "index.sqlite3")

    def pushed(at: int, host: str = both) -> Pushed:
        address = f"host={host} dbname=fleet user={roles[at]}"
        options = PushOptions(most_in_batch=2)
        done: Pushed = in_index(
            homes[at] / "home",
            homes[at] / "index.sqlite3",
            lambda index: push(index, address, options),
        )
        return done

    def waiting(at: int) -> int:
        return len(rows(homes[at] / "index.sqlite3", "SELECT * FROM fleet_outbox"))

    async def listed(server: Cluster) -> list[str]:
        address = server.address("fleet", reader)
        async with open_fleet(tmp_path, tmp_path / "cache", address) as index:
            return [row["id"] for row in (await index.page(Query())).rows]

    for at in (0, 1):
        change(at, *range(at * 10, at * 10 + 4))
        pushed(at)
    last = ask(primary, "SELECT pg_current_wal_lsn()::text")
    wait_until(standby, f"SELECT pg_last_wal_replay_lsn() >= '{last}'", True)
    assert asyncio.run(listed(standby)) == [thread_id(n) for n in (13, 12, 11, 10, 3, 2, 1, 0)]
    change(0, 4)
    with pytest.raises(errors.FleetReadOnly):
        pushed(0, f"{standby.folder} port={standby.port}")

    # It is cut off, and the primary has what a machine has pushed alone.
    ask(standby, "ALTER SYSTEM SET primary_conninfo = ''")
    ask(standby, "SELECT pg_reload_conf()")
    wait_until(standby, FOLLOWS, 0)
    assert pushed(0).threads == 1
    change(1, *range(14, 19))
    numbers = itertools.count()

    async def stopping(*arguments: Any) -> Any:
        if next(numbers) == 1:
            postgres.stop(primary.folder)
        return await send_batch(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(pushing, "send_batch", stopping)
        with pytest.raises(errors.FleetLost):
            pushed(1)
    assert waiting(1) == 3
    with pytest.raises(errors.FleetReadOnly):  # there is only the standby
        pushed(1)

    ask(standby, "SELECT pg_promote()")
    with closing(Fleet(standby, "fleet", standby.address("fleet"))) as fleet:
        for at, name in enumerate(("one", "two")):
            assert held(fleet, name) != kept(homes[at] / "index.sqlite3")
            assert pushed(at).anew
            assert held(fleet, name) == kept(homes[at] / "index.sqlite3")
            assert (waiting(at), pushed(at).new_epoch) == (0, False)
