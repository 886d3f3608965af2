"""The function by which machines write threads looks past row security, and writes rows of the one
who calls it alone, whatever it is given."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.state.fleet.security.attack import (
    DENIED,
    IDS,
    SECRET,
    THREAD,
    Prey,
    push_arrays,
    push_thread,
    run,
)

VICTIM, MINE, ELSEWHERE = IDS["victim"], IDS["mallory"], IDS["elsewhere"]
NEW = "ffffffff-ffff-ffff-ffff-ffffffffffff"
Machine = psycopg.Connection[Any]


def of_others(prey: Prey) -> list[tuple[Any, ...]]:
    """All that is kept of the threads of others, but for whether theirs is the newest copy."""
    own = prey.who["mallory"][1]
    found: list[tuple[Any, ...]] = []
    for table in ("threads", "user_data", "thread_usage", "thread_limits"):
        found += run(
            prey.fleet.admin,
            f"SELECT to_jsonb(t) - 'newest' FROM threadkeep.{table} t WHERE machine_id <> {own}"
            " ORDER BY 1",
        )
    return found


def newest(prey: Prey) -> dict[str, list[int]]:
    """The machines whose copies of each thread count as the newest ones."""
    found: dict[str, list[int]] = {}
    for id_, machine in run(
        prey.fleet.admin,
        "SELECT id, CASE WHEN newest THEN machine_id END FROM threadkeep.threads"
        " WHERE NOT deleted ORDER BY 1, 2",
    ):
        found.setdefault(id_, []).extend([] if machine is None else [machine])
    return found


@pytest.fixture
def copies(prey: Prey) -> Iterator[Prey]:
    """The fleet, in which the hostile machine may put copies of threads of others."""
    yield prey
    run(
        prey.fleet.admin,
        f"DELETE FROM threadkeep.threads WHERE machine_id = {prey.who['mallory'][1]}"
        f" AND id <> '{MINE}'",
    )


def _row(machine: Machine, **values: Any) -> Any:
    return push_thread(machine, **{"id": NEW, **values})


def _arrays(machine: Machine, **arrays: Any) -> Any:
    return push_arrays(machine, **arrays)


FLAWED: dict[str, Callable[[Machine], Any]] = {
    "no id": lambda machine: _row(machine, id=None),
    "a short id": lambda machine: _row(machine, id="x"),
    "no title": lambda machine: _row(machine, title=None),
    "a facet that is another": lambda machine: _row(machine, facet="000|cli|other"),
    "archived twice": lambda machine: _row(machine, archived=2, facet="200|cli|x"),
    "fewer than no tokens": lambda machine: _row(machine, tokens_used=-1),
    "no epoch": lambda machine: _row(machine, epoch=None),
    "no revision": lambda machine: _row(machine, revision=None),
    "no level": lambda machine: _row(machine, level=None),
    "ids alone": lambda machine: _arrays(machine, id=[VICTIM, MINE, NEW]),
    "more titles than ids": lambda machine: _arrays(machine, id=[NEW], title=["a", "b"]),
    "the same id twice": lambda machine: _arrays(
        machine, **{name: [value] * 2 for name, value in {**THREAD, "id": NEW}.items()}
    ),
    "a thread of another tenant without a title": lambda machine: _row(
        machine, id=ELSEWHERE, title=None
    ),
}
HARMLESS: dict[str, Callable[[Machine], Any]] = {
    "nothing": lambda machine: _arrays(machine),
    "no array of what is gone": lambda machine: _arrays(machine, gone=None),
    "threads of others as gone": lambda machine: _arrays(
        machine, gone=[VICTIM, ELSEWHERE, None, "", "x"], revision=9
    ),
    "very many ids as gone": lambda machine: _arrays(machine, gone=[SECRET] * 100_000, revision=9),
    "a title without a row": lambda machine: _arrays(machine, title=[]),
}


@pytest.mark.parametrize("name", FLAWED)
def test_a_flawed_row_is_refused_and_changes_nothing(name: str, prey: Prey) -> None:
    before = prey.everything()
    with psycopg.connect(prey.mallory, autocommit=True) as machine:
        with pytest.raises((psycopg.IntegrityError, psycopg.ProgrammingError)) as caught:
            FLAWED[name](machine)
        assert SECRET not in str(caught.value)
        assert caught.value.diag.message_detail is None
    assert prey.everything() == before


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_not_ones_own_is_left_alone(name: str, prey: Prey) -> None:
    before = prey.everything()
    with psycopg.connect(prey.mallory, autocommit=True) as machine:
        assert HARMLESS[name](machine) == []
    assert prey.everything() == before


def test_a_copy_of_a_thread_of_another_tenant_demotes_none(copies: Prey) -> None:
    before, shown = of_others(copies), newest(copies)
    with psycopg.connect(copies.mallory, autocommit=True) as machine:
        assert len(_row(machine, id=ELSEWHERE, updated_at_ms=2**62)) == 1
    assert of_others(copies) == before
    own = copies.who["mallory"][1]
    assert newest(copies) == {**shown, ELSEWHERE: sorted([*shown[ELSEWHERE], own])}


def test_a_copy_that_claims_to_be_newer_is_shown_until_it_is_gone(copies: Prey) -> None:
    before, shown = of_others(copies), newest(copies)
    own = copies.who["mallory"][1]
    with psycopg.connect(copies.mallory, autocommit=True) as machine:
        _row(machine, id=VICTIM, updated_at_ms=2**62)
        assert (of_others(copies), newest(copies)) == (before, {**shown, VICTIM: [own]})
        _row(machine, id=VICTIM, updated_at_ms=0, revision=2)
        assert (of_others(copies), newest(copies)) == (before, shown)
        _row(machine, id=VICTIM, updated_at_ms=2**62, revision=3)
        assert len(push_arrays(machine, gone=[VICTIM], revision=4)) == 1
        assert (of_others(copies), newest(copies)) == (before, shown)


def test_an_earlier_revision_changes_nothing(copies: Prey) -> None:
    with psycopg.connect(copies.mallory, autocommit=True) as machine:
        _row(machine, id=VICTIM, updated_at_ms=0, revision=5)
        shown = newest(copies)
        for epoch, revision in ((1, 5), (1, 4), (0, 9)):
            late = _row(machine, id=VICTIM, updated_at_ms=2**62, epoch=epoch, revision=revision)
            assert late == []
            assert newest(copies) == shown


def test_nobody_else_may_call_it(prey: Prey) -> None:
    before = prey.everything()
    for address in (*prey.readers, prey.revoked):
        with psycopg.connect(address, autocommit=True) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
                _row(connection)
            assert caught.value.sqlstate == DENIED
    assert prey.everything() == before


def test_only_machines_that_push_the_same_threads_wait_for_each_other(prey: Prey) -> None:
    with (
        psycopg.connect(prey.elsewhere) as elsewhere,
        psycopg.connect(prey.mallory) as mallory,
        psycopg.connect(prey.victim) as victim,
    ):
        for each in (elsewhere, mallory, victim):
            each.execute("SET LOCAL lock_timeout = '5s'")
        _row(elsewhere, id=VICTIM)
        _row(mallory, id=VICTIM, updated_at_ms=0)
        _row(victim)
        victim.execute("SET LOCAL lock_timeout = 1")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            _row(victim, id=VICTIM, revision=2)
        for each in (elsewhere, mallory, victim):
            each.rollback()
