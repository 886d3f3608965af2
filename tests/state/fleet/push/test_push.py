"""A push leaves in the fleet what the index has, whatever happened before."""

import asyncio
import platform
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from state.errors import FleetError, FleetTooNew, FleetTooOld, MachineTaken
from state.fleet.push import machine
from state.fleet.push import rows as pushed_rows
from state.fleet.push.exclusions import Exclusions
from state.fleet.push.plan import plan_push
from state.fleet.push.push import Pushed, PushOptions, push
from state.fleet.server.schema import HEAD
from state.repair.backup import back_up_index, restore_backup
from state.repair.reindex import reindex
from state.userdata.relink import relink
from state.userdata.store import set_values
from tests.samples.homes import encoded, lines, thread_id, write
from tests.support.indexes import in_index, rows, sync
from tests.support.postgres.cluster import Fleet
from tests.support.postgres.pushed import held, kept

SPAWN = {"subagent": {"thread_spawn": {"parent_thread_id": thread_id(1), "depth": 1}}}


@pytest.fixture
def address(fleet: Fleet) -> str:
    return fleet.machine("one")


@pytest.fixture
def small(home: Path, index_path: Path) -> Path:
    for number in range(6):
        write(home, number)
    write(home, 6, encoded(lines(6, source=SPAWN)))
    sync(home, index_path)
    return index_path


def pushed(home: Path, index: Path, address: str, **options: Any) -> Pushed:
    found: Pushed = in_index(
        home, index, lambda opened: push(opened, address, PushOptions(**options))
    )
    return found


def change(index: Path, *statements: str) -> None:
    with closing(sqlite3.connect(index, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def asked(fleet: Fleet, sql: str) -> list[tuple[Any, ...]]:
    with fleet.administered() as admin:
        found = admin.execute(sql)
        return found.fetchall() if found.description else []


def test_what_changes_is_pushed(home: Path, small: Path, fleet: Fleet, address: str) -> None:
    done = pushed(home, small, address)
    assert (done.threads, done.new_epoch, done.anew, done.refused) == (7, True, False, {})
    assert held(fleet, "one") == kept(small)
    write(home, 2).unlink()
    write(home, 9)
    with write(home, 1).open("a") as file:
        file.write("\n")
    sync(home, small)
    in_index(
        home, small, lambda index: set_values(index.database, [thread_id(3)], {"note": "later"})
    )
    done = pushed(home, small, address)
    assert (done.threads, done.deleted, done.new_epoch) == (3, 1, False)
    assert held(fleet, "one") == kept(small)
    left = asked(fleet, "SELECT title, preview, cwd, name FROM threadkeep.threads WHERE deleted")
    assert left == [("", "", "", None)]
    assert pushed(home, small, address).batches == 0
    assert asked(fleet, "SELECT pending, level FROM threadkeep.machines") == [(0, "metadata")]


def test_nothing_new_costs_one_query(
    home: Path, small: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed(home, small, address)
    queries = []
    execute = psycopg.AsyncConnection.execute

    async def counted(self: Any, query: str, *rest: Any, **options: Any) -> Any:
        queries.append(query)
        return await execute(self, query, *rest, **options)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", counted)
    pushed(home, small, address)
    assert len(queries) == 1


def test_what_is_left_out_is_taken_back(
    home: Path, small: Path, fleet: Fleet, address: str
) -> None:
    write(home, 11, encoded(lines(11, cwd="/secret/plan")))
    write(home, 12, encoded(lines(12, git={"repository_url": "git@github.com:acme/Keys.git"})))
    write(home, 13, encoded(lines(13, cwd="/old/secret")))
    sync(home, small)
    tagged = {"tag:private": "1"}
    in_index(home, small, lambda index: set_values(index.database, [thread_id(2)], tagged))
    in_index(home, small, lambda index: relink(index.database, "/old", "/secret/old"))
    pushed(home, small, address)
    everything = held(fleet, "one")
    left_out = Exclusions(("/secret/",), ("https://github.com/acme",), ("subAgent",), ("private",))
    done = pushed(home, small, address, exclusions=left_out)
    assert (done.threads, done.excluded, done.deleted) == (0, 5, 5)
    gone = {thread_id(number) for number in (2, 6, 11, 12, 13)}
    there = {row[0] for row in held(fleet, "one")["threads"]}
    assert there == {row[0] for row in everything["threads"]} - gone
    change(small, "DELETE FROM user_data")
    done = pushed(home, small, address, exclusions=left_out)
    assert (done.threads, done.deleted) == (1, 0)
    pushed(home, small, address)
    assert held(fleet, "one") == kept(small)


def test_texts_are_redacted_before_they_leave(
    home: Path, small: Path, fleet: Fleet, address: str
) -> None:
    write(home, 3, encoded(lines(3, "my password", git={"repository_url": "https://u:p@h/r"})))
    sync(home, small)
    values = {"note": "note with password", "name": "password", "git_branch": "fix/password"}
    tags = {"tag:password": "1", "tag:passwordpassword": "1", "tag:password-no": None}
    in_index(home, small, lambda index: set_values(index.database, [thread_id(4)], values | tags))
    change(small, f"UPDATE threads SET git_branch = 'my/password' WHERE id = '{thread_id(5)}'")

    def redact(text: str) -> str:
        return text.replace("passwordpassword", "password").replace("password", "[A ■]")

    pushed(home, small, address, redact=redact)
    dumped = repr(held(fleet, "one"))
    assert "password" not in dumped
    for text in ("'fix/[A ■]'", "'my/[A ■]'", "'tag:[a-■]'"):
        assert text in dumped
    assert "my [A ■]" in dumped
    assert "note with [A ■]" in dumped
    assert "https://h/r" in dumped


def test_what_postgres_does_not_take_is_replaced(
    home: Path, small: Path, fleet: Fleet, address: str
) -> None:
    change(
        small,
        "UPDATE threads SET title = 'a' || char(0) || 'b' || CAST(x'eda080' AS TEXT)",
        "UPDATE threads SET cwd = '{\\\"'",
        "UPDATE threads SET name = 'NULL', model = '', git_branch = NULL",
    )
    done = pushed(home, small, address)
    assert done.refused == {}
    found = asked(
        fleet, "SELECT DISTINCT title, cwd, name, model, git_branch FROM threadkeep.threads"
    )
    assert found == [("a�b���", '{\\"', "NULL", "", None)]


def test_long_names_and_notes_are_taken(
    home: Path, small: Path, fleet: Fleet, address: str
) -> None:
    """Longer than a page of an index, and of characters that are not compressed much."""
    random_ = random.Random(1)
    long = "".join(chr(random_.randrange(0x4E00, 0x9FFF)) for _ in range(4000))
    values = {"note": long, "name": long, "tag:x": "1"}
    in_index(home, small, lambda index: set_values(index.database, [thread_id(4)], values))
    change(small, f"UPDATE threads SET name = '{long}', title = '{long}', search_text = '{long}'")
    assert pushed(home, small, address).refused == {}
    assert held(fleet, "one") == kept(small)


def test_a_thread_that_does_not_fit_holds_up_no_other(
    home: Path, small: Path, fleet: Fleet, address: str
) -> None:
    asked(fleet, "ALTER TABLE threadkeep.threads ADD CHECK (title <> 'odd')")
    change(small, f"UPDATE threads SET title = 'odd' WHERE id = '{thread_id(3)}'")
    done = pushed(home, small, address)
    assert [*done.refused] == [thread_id(3)]
    assert done.threads == 6
    assert rows(small, "SELECT thread_id FROM fleet_outbox") == [{"thread_id": thread_id(3)}]
    change(small, f"UPDATE threads SET title = 'even' WHERE id = '{thread_id(3)}'")
    assert pushed(home, small, address).threads == 1
    assert held(fleet, "one") == kept(small)


def _restored(home: Path, index: Path) -> None:
    asyncio.run(restore_backup(index))
    sync(home, index)


def _rebuilt(home: Path, index: Path) -> None:
    in_index(home, index, lambda _: reindex(home, index))


def _removed(home: Path, index: Path) -> None:
    index.unlink()
    sync(home, index)


@pytest.mark.parametrize("again", [_restored, _rebuilt, _removed])
def test_an_index_that_was_made_again_begins_an_epoch(
    again: Callable[[Path, Path], None], home: Path, small: Path, fleet: Fleet, address: str
) -> None:
    pushed(home, small, address)
    back_up_index(small)
    write(home, 8)
    sync(home, small)
    pushed(home, small, address)
    write(home, 8).unlink()
    write(home, 2).unlink()
    again(home, small)
    done = pushed(home, small, address)
    assert (done.new_epoch, done.anew, done.deleted) == (True, True, 2)
    assert held(fleet, "one") == kept(small)
    assert not pushed(home, small, address).new_epoch


def test_a_fleet_that_was_restored_gets_all_again(
    home: Path, small: Path, fleet: Fleet, address: str
) -> None:
    pushed(home, small, address)
    before = asked(fleet, "SELECT sequence FROM threadkeep.machines")[0][0]
    write(home, 8)
    sync(home, small)
    pushed(home, small, address)
    asked(fleet, f"UPDATE threadkeep.machines SET sequence = {before}")
    asked(fleet, f"DELETE FROM threadkeep.threads WHERE id = '{thread_id(8)}'")
    assert pushed(home, small, address).new_epoch
    assert held(fleet, "one") == kept(small)


def test_a_copied_index_is_another_one(
    home: Path, small: Path, fleet: Fleet, address: str, tmp_path: Path
) -> None:
    pushed(home, small, address)
    copy = tmp_path / "copy.sqlite3"
    shutil.copy(small, copy)
    told = "SELECT pushed_at, level, version, pending FROM threadkeep.machines"
    before = asked(fleet, told)
    with pytest.raises(MachineTaken, match="pushes into the fleet as one, too"):
        pushed(home, copy, address, version="of the copy")
    assert asked(fleet, told) == before
    change(copy, f"DELETE FROM threads WHERE id = '{thread_id(3)}'")
    assert pushed(home, copy, address, take_over=True).new_epoch
    assert held(fleet, "one") == kept(copy)
    with pytest.raises(MachineTaken):
        pushed(home, small, address)
    copy.unlink()
    assert pushed(home, small, address).new_epoch
    assert held(fleet, "one") == kept(small)


@pytest.mark.parametrize("named", [True, False], ids=["id", "name"])
def test_another_host_is_another_machine(
    named: bool,
    home: Path,
    small: Path,
    fleet: Fleet,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its id, whatever its name; without one, by its name."""
    host = tmp_path / "machine-id"
    monkeypatch.setattr(machine, "_MACHINE_ID", host)
    if named:
        host.write_text("0123456789abcdef\n")
    pushed(home, small, address)
    monkeypatch.setattr(platform, "node", lambda: "another")
    if named:
        write(home, 8)
        sync(home, small)
        done = pushed(home, small, address, version="renamed")
        assert (done.threads, done.new_epoch) == (1, False)
        assert asked(fleet, "SELECT version FROM threadkeep.machines") == [("renamed",)]
        host.write_text("fedcba9876543210\n")
    with pytest.raises(MachineTaken):
        pushed(home, small, address)
    done = pushed(home, small, address, take_over=True)
    assert (done.new_epoch, done.anew) == (True, False)
    assert held(fleet, "one") == kept(small)


def test_a_fleet_of_another_version_is_refused(
    home: Path, small: Path, fleet: Fleet, address: str
) -> None:
    for found, error in (("f9999", FleetTooNew), ("f0000", FleetTooOld)):
        asked(fleet, f"UPDATE threadkeep.fleet_version SET version_num = '{found}'")
        with pytest.raises(error):
            pushed(home, small, address)
    asked(fleet, f"UPDATE threadkeep.fleet_version SET version_num = '{HEAD}'")
    assert pushed(home, small, address).threads == 7


def test_a_machine_that_is_revoked_writes_nothing_more(
    home: Path, small: Path, fleet: Fleet, address: str
) -> None:
    pushed(home, small, address)
    before = held(fleet, "one")
    write(home, 9)
    sync(home, small)
    asked(fleet, "UPDATE threadkeep.logins SET revoked_at = now()")
    with pytest.raises(FleetError, match="neither a machine nor a reader"):
        pushed(home, small, address)
    with pytest.raises(FleetError):
        pushed(home, small, fleet.reader())
    assert held(fleet, "one") == before
    assert len(rows(small, "SELECT * FROM fleet_outbox")) == 1


def test_the_plan_is_what_is_pushed(home: Path, small: Path, fleet: Fleet, address: str) -> None:
    options = PushOptions(exclusions=Exclusions(sources=("subAgentThreadSpawn",)))

    def planned() -> Any:
        return in_index(home, small, lambda index: plan_push(index, address, options))

    plan = planned()
    assert (plan.everything, plan.threads, plan.gone) == (True, 6, 0)
    assert plan.excluded == {"source subAgentThreadSpawn": 1}
    assert [each.id for each in plan.sent] == [thread_id(number) for number in range(5, -1, -1)]
    pushed(home, small, address, exclusions=options.exclusions)
    assert planned()[:3] == (False, 0, 0)
    write(home, 2).unlink()
    write(home, 9)
    sync(home, small)
    plan = planned()
    assert (plan.everything, plan.threads, plan.gone) == (False, 1, 1)


def test_arrays_are_as_postgres_reads_them(fleet: Fleet) -> None:
    texts = ['a"b', "c\\d", "", "NULL", None, "{x,y}", "ü\n\t ", "x\0"]
    taken = [*texts[:-1], "x�"]
    values = [(text, at if text else None) for at, text in enumerate(texts)]
    made = pushed_rows.arrays(values, ["text", "bigint"])
    with fleet.administered() as admin:
        found = admin.execute("SELECT * FROM unnest(%s::text[], %s::bigint[])", made).fetchall()
    assert found == [(text, value[1]) for text, value in zip(taken, values, strict=True)]
