"""What a machine writes into its own rows breaks nothing for others: a fleet takes no values that
those who read or prune them could not take."""

import datetime
from typing import Any, Final

import psycopg
import pytest

from state.fleet.server.operations.status import fleet_status
from tests.state.fleet.security.attack import IDS, Prey, insert, push_thread, run

OTHER: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"
BIGGEST: Final = 2**63 - 1
NO_MONTHS: Final = ("infinity", "-infinity", "2026-11-02", "10000-01-01", "0001-01-01 BC")
OF_USAGE: Final = ("input", "cached_input", "cache_write", "output", "reasoning", "total")
OF_MACHINE: Final = {
    "pushed_at": ("infinity", "-infinity", "200000-01-01", "4000-01-01 BC", "1999-12-31"),
    "level": ("all", "x" * 5_000_000),
    "version": ("x" * 5_000_000,),
    "host": ("x" * 5_000_000,),
    "epoch_key": ("x" * 5_000_000,),
    "former_key": ("x" * 5_000_000,),
    **dict.fromkeys(("pending", "epoch", "sequence", "former_sequence"), (-5, BIGGEST)),
}
OF_THREAD: Final[dict[str, tuple[Any, ...]]] = {
    "id": ("x" * 36, OTHER.upper(), OTHER.replace("-", "0")),
    "level": ("", "RAW", "x" * 100_000),
    **dict.fromkeys(("size_bytes", "tokens_used", "epoch", "revision"), (-1, BIGGEST)),
}


def _is_refused(connection: "psycopg.Connection[Any]", work: Any) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        work(connection)
    assert caught.value.diag.message_detail is None  # which would have the whole row


@pytest.mark.parametrize("table", ["documents", "pieces", "rollouts"])
def test_what_is_no_month_is_not_stored(prey: Prey, table: str) -> None:
    with psycopg.connect(prey.mallory, autocommit=True) as mallory:
        for month in NO_MONTHS:
            _is_refused(
                mallory, lambda to, month=month: insert(to, table, prey.who["mallory"], month=month)
            )


def test_what_a_machine_says_of_itself_is_read_by_all(prey: Prey) -> None:
    with psycopg.connect(prey.mallory, autocommit=True) as mallory:
        for column, values in OF_MACHINE.items():
            update = f"UPDATE threadkeep.machines SET {column} = %s"
            for value in values:
                _is_refused(mallory, lambda to, sql=update, value=value: to.execute(sql, [value]))
    before = run(
        prey.fleet.admin, "SELECT pushed_at FROM threadkeep.machines WHERE name = 'mallory'"
    )
    for latest in ("2000-01-01 00:00+00", "9999-12-01 00:00+00"):
        run(prey.mallory, f"UPDATE threadkeep.machines SET pushed_at = '{latest}'")
        status = fleet_status(prey.fleet.admin, datetime.datetime.now(datetime.UTC))
        assert [each.pushed_at for each in status.machines if each.name == "mallory"] == [
            datetime.datetime.fromisoformat(latest)
        ]
    assert before == [(None,)]
    run(prey.mallory, "UPDATE threadkeep.machines SET pushed_at = NULL")


def test_counts_of_tokens_have_sums(prey: Prey) -> None:
    wrong: dict[str, tuple[int, ...]] = {
        **dict.fromkeys((*OF_USAGE, "responses"), (-1, BIGGEST)),
        "hour": (BIGGEST, -BIGGEST, 80_000_000),
        "long_context": (2,),
    }
    with psycopg.connect(prey.mallory, autocommit=True) as mallory:
        for column, values in wrong.items():
            for value in values:
                row = {"row_id": 1, "model": "odd", column: value}
                _is_refused(
                    mallory,
                    lambda to, row=row: insert(to, "thread_usage", prey.who["mallory"], **row),
                )


def test_threads_have_ids_levels_and_sizes_that_there_are(prey: Prey) -> None:
    with psycopg.connect(prey.mallory, autocommit=True) as mallory:
        for column, values in OF_THREAD.items():
            for value in values:
                row = {"id": OTHER, "revision": 9, column: value}
                _is_refused(mallory, lambda to, row=row: push_thread(to, **row))
        _is_refused(
            mallory, lambda to: push_thread(to, id=IDS["mallory"], revision=9, size_bytes=-1)
        )
