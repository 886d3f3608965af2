"""What administrators are told of a fleet."""

import datetime
import time

import psycopg

from state.fleet.server.operations.partitions import create_months
from state.fleet.server.operations.status import fleet_status
from tests.state.fleet.operations.rows import NOW, put_thread
from tests.support.effort import PATIENCE_S
from tests.support.postgres.cluster import Fleet


def test_status_names_machines_sizes_and_what_is_wrong(fleet: Fleet) -> None:
    for name in ("new", "waiting", "silent", "behind", "fine", "gone"):
        fleet.machine(name, user="ada")
    with psycopg.connect(fleet.admin, autocommit=True) as admin:
        for name, days, pending in (("silent", 8, 0), ("behind", 2, 3), ("fine", 0, 3)):
            values = [NOW - datetime.timedelta(days=days), pending, name]
            admin.execute(
                "UPDATE threadkeep.machines SET pushed_at = %s, pending = %s WHERE name = %s",
                values,
            )
        admin.execute("UPDATE threadkeep.machines SET revoked_at = now() WHERE name = 'gone'")
        for name, days in (("new", 6), ("waiting", 8)):
            added = [NOW - datetime.timedelta(days=days), name]
            admin.execute("UPDATE threadkeep.machines SET created_at = %s WHERE name = %s", added)
        # PostgreSQL counts rows that were put a moment ago again after an ANALYZE, but for those of
        # the same transaction.
        with admin.transaction():
            put_thread(admin, "fine", created=40, updated=1)
            put_thread(admin, "fine", created=1, updated=1, level="metadata")
            admin.execute("ANALYZE")
        found = fleet_status(fleet.admin, NOW)
        assert found.database == fleet.database
        assert [each.name for each in found.machines] == [
            "fine",
            "behind",
            "silent",
            "gone",
            "new",
            "waiting",
        ]
        tables = {each.name: each for each in found.tables}
        assert {name: tables[name].rows for name in ("threads", "documents", "machines")} == {
            "threads": 2,
            "documents": 1,
            "machines": 6,
        }
        assert found.threads == 2
        assert tables["threads"].partitions == 8
        assert tables["threads"].table_bytes > 0 < tables["threads"].index_bytes
        assert found.slowest is None
        assert dict(found.findings.by_code) == {
            "fleet_never_pushed": 1,
            "fleet_silent": 1,
            "fleet_behind": 1,
            "fleet_month": 1,
            "fleet_earlier_month": 1,
        }
        create_months(admin, NOW.date(), NOW.date())
        after = fleet_status(fleet.admin, NOW)
        assert not {"fleet_month", "fleet_earlier_month"} & {*after.findings.by_code}


def test_threads_are_not_counted_that_are_gone(fleet: Fleet) -> None:
    fleet.machine("laptop")
    with psycopg.connect(fleet.admin, autocommit=True) as admin:
        with admin.transaction():
            for _ in range(3):
                put_thread(admin, "laptop", created=1, updated=1)
            admin.execute("ANALYZE threadkeep.threads")
        admin.execute("DELETE FROM threadkeep.threads WHERE row_id % 3 > 0")
    end = time.monotonic() + PATIENCE_S  # a session tells what it has done when it ends
    while fleet_status(fleet.admin, NOW).threads != 1:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_threads_of_earlier_months_are_no_reason_to_fail(fleet: Fleet) -> None:
    fleet.machine("laptop")
    with psycopg.connect(fleet.admin, autocommit=True) as admin:
        create_months(admin, NOW.date())
        put_thread(admin, "laptop", created=420, updated=1)
        found = fleet_status(fleet.admin, NOW).findings
        assert dict(found.by_code) == {"fleet_earlier_month": 1}
        assert found.clean
        create_months(admin, NOW.date())
        assert not fleet_status(fleet.admin, NOW).findings.total
