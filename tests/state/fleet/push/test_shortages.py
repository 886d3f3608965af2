"""A fleet that takes no changes, or not now: nothing is half written, and nothing leaves the
outbox."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from state import errors
from state.fleet.push.push import PushOptions, push
from tests.samples.homes import write
from tests.support.indexes import in_index, rows, sync
from tests.support.postgres.cluster import Fleet
from tests.support.postgres.pushed import held, kept

Shortage = Callable[[Fleet, str], Any]


def _role(address: str) -> str:
    return psycopg.conninfo.conninfo_to_dict(address)["user"]  # type: ignore[return-value]


@contextmanager
def _sql(fleet: Fleet, before: str, after: str) -> Iterator[None]:
    with psycopg.connect(fleet.admin, autocommit=True) as admin:
        admin.execute(before)
        yield
        admin.execute(after)


def read_only(fleet: Fleet, address: str) -> Any:
    setting = f'ALTER ROLE "{_role(address)}" {{}} default_transaction_read_only'
    return _sql(fleet, setting.format("SET") + " = on", setting.format("RESET"))


def full(fleet: Fleet, address: str) -> Any:
    return _failing(fleet, "53100", "could not extend file")


def failing_in_the_end(fleet: Fleet, address: str) -> Any:
    return _failing(fleet, "XX000", "something else", "INITIALLY DEFERRED")


@contextmanager
def _failing(fleet: Fleet, state: str, why: str, when: str = "") -> Iterator[None]:
    """As it fails where a row is written, or at the commit."""
    kind = "CONSTRAINT TRIGGER" if when else "TRIGGER"
    deferred = f"DEFERRABLE {when}" if when else ""
    with psycopg.connect(fleet.admin, autocommit=True) as admin:
        admin.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION '{why}' USING ERRCODE = '{state}'; END $$"
        )
        admin.execute(
            f"CREATE {kind} failing AFTER INSERT ON threadkeep.thread_usage {deferred}"
            " FOR EACH ROW EXECUTE FUNCTION fail()"
        )
        yield
        admin.execute("DROP FUNCTION fail CASCADE")


@contextmanager
def locked(fleet: Fleet, address: str) -> Iterator[None]:
    """As while somebody changes the table, for longer than a statement may take."""
    role = _role(address)
    with psycopg.connect(fleet.admin) as holder, psycopg.connect(fleet.admin) as admin:
        admin.autocommit = True
        admin.execute(f"ALTER ROLE \"{role}\" SET statement_timeout = '50ms'")
        holder.execute("LOCK TABLE threadkeep.threads IN EXCLUSIVE MODE")
        yield
        admin.execute(f'ALTER ROLE "{role}" RESET statement_timeout')


@contextmanager
def not_there(fleet: Fleet, address: str) -> Iterator[None]:
    database = f"ALTER DATABASE {fleet.database} ALLOW_CONNECTIONS"
    with psycopg.connect(fleet.cluster.address("postgres"), autocommit=True) as admin:
        admin.execute(f"{database} false")
        yield
        admin.execute(f"{database} true")


SHORTAGES: list[tuple[Shortage, type[errors.StateError]]] = [
    (read_only, errors.FleetReadOnly),
    (full, errors.FleetFull),
    (failing_in_the_end, errors.FleetFailed),
    (locked, errors.FleetBusy),
    (not_there, errors.FleetError),
]


def test_what_was_not_taken_is_pushed_later(home: Path, index_path: Path, fleet: Fleet) -> None:
    address = fleet.machine("one")
    for number in range(len(SHORTAGES)):
        write(home, number)
    sync(home, index_path)

    def pushed() -> None:
        in_index(home, index_path, lambda index: push(index, address, PushOptions()))

    pushed()
    for at, (shortage, error) in enumerate(SHORTAGES):
        before = held(fleet, "one")
        write(home, at).unlink()
        write(home, 10 + at)
        sync(home, index_path)
        with shortage(fleet, address), pytest.raises(error):
            pushed()
        assert held(fleet, "one") == before
        job = rows(index_path, "SELECT status, owner, last_error FROM fleet_state")[0]
        assert (job["status"], job["owner"]) == ("running", None)
        assert job["last_error"]
        assert len(rows(index_path, "SELECT * FROM fleet_outbox")) == 2
        pushed()
        assert held(fleet, "one") == kept(index_path)
