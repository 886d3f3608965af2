"""Retention: what is old goes, on PostgreSQL alone; what is younger stays whole."""

import datetime
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from state.errors import FleetLoginNotFound
from state.fleet.server.operations.partitions import create_months, following, partitions
from state.fleet.server.operations.prune import Pruned, Rule, prune
from tests.state.fleet.operations.rows import NOW, counts, days_ago, month_of, put_thread
from tests.support.postgres.cluster import Fleet

LIMIT = 40
Connection = psycopg.Connection[Any]
ALL = {"threads": 1, "thread_usage": 1, "documents": 1, "rollouts": 1, "pieces": 1}


def pruned(
    fleet: Fleet,
    *,
    dry_run: bool = False,
    level: str | None = None,
    tenant: str | None = None,
    machine: str | None = None,
) -> Pruned:
    rule = Rule(days_ago(LIMIT), level, tenant, machine)
    return prune(fleet.admin, rule, lambda _: None, dry_run=dry_run)


def days_of_month(months: int) -> int:
    """How many days ago a day of that month was, so many months ago."""
    return (NOW.date() - following(NOW.date(), -months)).days


@pytest.fixture
def admin(fleet: Fleet) -> Connection:
    """The connection of an administrator, in a fleet with two machines."""
    fleet.machine("one")
    fleet.machine("two")
    return psycopg.connect(fleet.admin, autocommit=True)


def test_old_threads_go_with_all_that_they_have(fleet: Fleet, admin: Connection) -> None:
    with admin:
        put_thread(admin, "one", created=70, updated=50)
        put_thread(admin, "one", created=70, updated=50, level="metadata")
        put_thread(admin, "one", created=70, updated=50, deleted=True)
        kept = put_thread(admin, "one", created=70, updated=30)
        put_thread(admin, "one", created=10, updated=5, deleted=True)
        found = pruned(fleet, dry_run=True)
        assert counts(admin)["threads"] == 5
        done = pruned(fleet)
        assert (done.threads, done.documents, done.rollouts, done.tombstones) == (2, 1, 1, 1)
        assert (found.threads, found.documents, found.rollouts, found.tombstones) == (2, 1, 1, 1)
        assert found.rollout_bytes == done.rollout_bytes == 100
        assert counts(admin) == {**ALL, "threads": 2}
        left = admin.execute("SELECT id FROM threadkeep.threads WHERE NOT deleted").fetchall()
        assert left == [(kept,)]
        assert pruned(fleet).threads == 0


def test_a_tombstone_that_a_push_takes_back_meanwhile_stays(
    fleet: Fleet, admin: Connection
) -> None:
    waiting = "SELECT FROM pg_locks WHERE %s = ANY(pg_blocking_pids(pid))"
    with admin, psycopg.connect(fleet.admin) as pushing, ThreadPoolExecutor(1) as pool:
        put_thread(admin, "one", created=70, updated=50, deleted=True)
        pushing.execute("UPDATE threadkeep.threads SET deleted = false")
        pid = pushing.info.backend_pid
        pruning = pool.submit(pruned, fleet)
        while not pruning.done() and not admin.execute(waiting, [pid]).fetchall():
            time.sleep(0.01)
        pushing.commit()
        assert pruning.result().tombstones == 0
        assert counts(admin)["threads"] == 1


@pytest.mark.parametrize(
    ("level", "remaining", "left"),
    [
        ("raw", "text", {**ALL, "rollouts": 0, "pieces": 0}),
        ("text", "metadata", {**ALL, "documents": 0, "rollouts": 0, "pieces": 0}),
    ],
)
def test_levels_take_only_what_they_have_added(
    fleet: Fleet,
    admin: Connection,
    level: str,
    remaining: str,
    left: dict[str, int],
) -> None:
    with admin:
        put_thread(admin, "one", created=70, updated=50)
        assert pruned(fleet, level=level).threads == 1
        assert counts(admin) == left
        levels = admin.execute("SELECT level, newest FROM threadkeep.threads").fetchall()
        assert levels == [(remaining, True)]
        assert pruned(fleet, level=level).threads == 0


def test_only_the_machine_or_tenant_that_is_named(fleet: Fleet, admin: Connection) -> None:
    with admin:
        fleet.machine("three", tenant="other")
        for name in ("one", "two", "three"):
            put_thread(admin, name, created=70, updated=50)
        assert pruned(fleet, machine="two").threads == 1
        assert pruned(fleet, tenant="other").threads == 1
        assert counts(admin) == ALL
        for machine, owner in (("four", None), (None, "nobody"), ("one", "other")):
            with pytest.raises(FleetLoginNotFound):
                pruned(fleet, machine=machine, tenant=owner)


def test_months_without_anything_younger_go_as_a_whole(fleet: Fleet, admin: Connection) -> None:
    with admin:
        create_months(admin, NOW.date(), days_ago(130).date())
        put_thread(admin, "one", created=130, updated=120)
        # Created in the same month as the one that goes, and in use until lately.
        put_thread(admin, "one", created=80, updated=70)
        put_thread(admin, "two", created=80, updated=20)
        before = {each.name for each in partitions(admin)}
        done = pruned(fleet)
        gone = before - {each.name for each in partitions(admin)}
        assert gone == set(done.partitions)
        assert f"documents_{month_of(days_ago(130)):%Y_%m}" in gone
        assert f"documents_{month_of(days_ago(80)):%Y_%m}" not in gone
        assert (done.threads, done.documents, done.rollouts) == (2, 2, 2)
        assert done.rollout_bytes == 200
        assert counts(admin) == ALL
        # A push of that month goes into the default partition, and from there where it belongs.
        put_thread(admin, "one", created=130, updated=1)
        assert counts(admin)["documents"] == 2
        created = create_months(admin, NOW.date(), NOW.date())
        assert f"documents_{month_of(days_ago(130)):%Y_%m}" in {each.name for each in created}
        assert counts(admin)["documents"] == 2


def test_a_month_that_somebody_uses_is_left_to_the_batches(
    fleet: Fleet,
    admin: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("state.fleet.server.operations.prune._LOCK_PATIENCE", "50ms")
    with admin, psycopg.connect(fleet.admin) as reading:
        create_months(admin, NOW.date(), days_ago(130).date())
        put_thread(admin, "one", created=130, updated=120)
        month = month_of(days_ago(130))
        reading.execute("SELECT FROM threadkeep.documents WHERE month = %s", [month])
        done = pruned(fleet)
        assert done.busy[0] == f"documents_{month:%Y_%m}"
        assert done.documents == 1
        assert counts(admin)["threads"] == 0


def test_what_a_push_has_left_behind_goes_when_its_month_is_old(
    fleet: Fleet, admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.fleet.server.operations.prune._LOCK_PATIENCE", "50ms")
    with admin:
        cut_off = [
            put_thread(admin, "one", created=age, updated=20) for age in (days_of_month(3), 5)
        ]
        put_thread(admin, "one", created=days_of_month(3), updated=20)
        admin.execute("DELETE FROM threadkeep.rollouts WHERE thread_id = ANY(%s)", [cut_off])
        assert pruned(fleet, machine="two").pieces == 0
        with psycopg.connect(fleet.admin) as pushing:
            pushing.execute("LOCK TABLE threadkeep.rollouts IN ROW EXCLUSIVE MODE")
            assert pruned(fleet).pieces == 0
        assert pruned(fleet).pieces == 1
        assert counts(admin)["pieces"] == 2


def test_rows_with_impossible_times_are_no_hindrance(fleet: Fleet, admin: Connection) -> None:
    with admin:
        put_thread(admin, "one", created=80, updated=80)
        admin.execute("UPDATE threadkeep.threads SET created_at_ms = 9000000000000000000")
        assert pruned(fleet).threads == 1
        rule = Rule(datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC))
        assert prune(fleet.admin, rule, lambda _: None).threads == 0
