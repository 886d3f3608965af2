"""A fleet that has lost what a machine has pushed: restored from a backup, or failed over to a
standby that was behind. The next push finds it out, and the fleet has all of it again."""

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from state.fleet.push import push as pushing
from state.fleet.push.machine import begin_epoch
from state.fleet.push.push import Pushed, PushOptions, push
from tests.samples.homes import write
from tests.support.effort import is_full, seed
from tests.support.indexes import in_index, sync
from tests.support.postgres.cluster import Fleet, copy_database
from tests.support.postgres.pushed import held, kept

MACHINES = 3


class Machine:
    """An index in a folder, and the machine that it is pushed as."""

    def __init__(self, folder: Path, name: str, address: str) -> None:
        self.home, self.index = folder / "home", folder / "index.sqlite3"
        self.name, self.address = name, address

    def change(self, added: int, removed: int | None = None) -> None:
        write(self.home, added)
        if removed is not None:
            write(self.home, removed).unlink()
        sync(self.home, self.index)

    def push(self) -> Pushed:
        options = PushOptions(most_in_batch=2)
        done: Pushed = in_index(
            self.home, self.index, lambda index: push(index, self.address, options)
        )
        return done


class Saved:
    """The database of a fleet, to which it can go back."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet, self._name = fleet, f"{fleet.database}_saved"
        self._copy(fleet.database, self._name)

    def restore(self) -> None:
        self._copy(self._name, self._fleet.database)

    def _copy(self, source: str, target: str) -> None:
        self._fleet.close()
        with psycopg.connect(self._fleet.cluster.address("postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
            copy_database(admin, source, target)

    def drop(self) -> None:
        with psycopg.connect(self._fleet.cluster.address("postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {self._name} WITH (FORCE)")


@pytest.fixture
def machines(fleet: Fleet, tmp_path: Path) -> list[Machine]:
    made = []
    for number in range(MACHINES):
        machine = Machine(tmp_path / f"m{number}", f"m{number}", fleet.machine(f"m{number}"))
        for thread in range(number, number + 3):  # some of them on several machines
            machine.change(thread)
        made.append(machine)
    return made


def test_what_a_restored_fleet_lacks_is_pushed_again(fleet: Fleet, machines: list[Machine]) -> None:
    one, two, three = machines
    one.push()
    two.push()
    saved = Saved(fleet)
    try:
        one.change(8, removed=1)
        one.push()  # more batches than the backup has
        three.push()  # for the first time: the backup does not know its epoch
        two.change(7)
        saved.restore()
        assert [each.push().new_epoch for each in machines] == [True, False, True]
        for each in machines:
            assert held(fleet, each.name) == kept(each.index)
            assert not each.push().new_epoch
    finally:
        saved.drop()


def test_a_fleet_that_goes_back_and_forth_ends_in_what_the_indexes_have(
    fleet: Fleet, machines: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any moment: also between what is written here and what is written there."""
    random_ = random.Random(seed())
    saved = Saved(fleet)
    try:
        for step in range(40 if is_full() else 6):
            machine = random_.choice(machines)
            machine.change(10 + random_.randrange(6))
            if random_.random() < 0.4:
                saved.drop()
                saved = Saved(fleet)
            stop = random_.choice(["begin_epoch", "send_batch", "sweep", "none"])
            with monkeypatch.context() as patched, suppress(Killed):
                if stop != "none":
                    patched.setattr(pushing, stop, _dying(getattr(pushing, stop), step % 2 == 0))
                machine.push()
            if random_.random() < 0.5:
                saved.restore()
        for each in machines:
            each.push()
            assert held(fleet, each.name) == kept(each.index)
    finally:
        saved.drop()


class Killed(Exception):
    """Ends a push before it can note that."""


def _dying(work: Callable[..., Awaitable[object]], before: bool) -> Callable[..., object]:
    async def dying(*arguments: object, **options: object) -> None:
        if not before:
            await work(*arguments, **options)
        raise Killed

    return dying


def test_a_push_that_was_killed_as_it_began_is_not_taken_for_another(
    fleet: Fleet, machines: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machines[0]
    one.push()
    for before in (True, False):
        with fleet.administered() as admin:
            admin.execute("UPDATE threadkeep.machines SET sequence = 0")  # as in a backup
        with monkeypatch.context() as patched, suppress(Killed):
            patched.setattr(pushing, "begin_epoch", _dying(begin_epoch, before))
            one.push()
        one.push()
        assert held(fleet, "m0") == kept(one.index)
