"""Archiving in the picker: files move, and an undo puts back just what was moved."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

from textual.widgets import Static

from cli.arguments.locations import Locations
from cli.browse.dialogs import Question
from rollout.files.writer_lock import WriterLock
from tests.cli.browse.actions.picking import held, home_of, picking
from tests.state.codex.databases import Codex
from tests.state.edit.moved import tree
from tests.support.checks import codes, synced, verified
from tests.support.command import Inside, thread_id, write_rollout
from tests.support.indexes import meaning


def test_a_thread_goes_to_the_archive_and_comes_back_by_undo(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing", "third thing")
    before, held = tree(here.home), meaning(here.index)

    async def work() -> None:
        async with picking(here) as picker:
            await picker.press("down")
            assert await picker.act("ctrl+a") == "Archived “second thing”. Ctrl+Z undoes."
            assert archived(here) == [1]
            assert await picker.act("f6") == "Undone: archived 1 thread."
            assert await picker.act("ctrl+z") == "There is nothing to undo."

    asyncio.run(work())
    assert tree(here.home) == before
    assert meaning(here.index) == held
    assert codes(verified(here.home, here.index)) == {}


def test_all_selected_threads_go_and_nothing_stays_selected(tmp_path: Path) -> None:
    here = home_of(tmp_path, *(f"thing {number}" for number in range(5)))

    async def work() -> None:
        async with picking(here) as picker:
            picker.select(1, 2, 4)
            assert await picker.act("ctrl+a") == "Archived 3 threads. Ctrl+Z undoes."
            assert archived(here) == [1, 2, 4]
            assert picker.app.chosen == [thread_id(3)]

    asyncio.run(work())


def test_what_is_selected_and_not_in_the_list_goes_only_after_a_question(tmp_path: Path) -> None:
    here = home_of(tmp_path, *(f"thing {number}" for number in range(3)))

    async def work() -> None:
        async with picking(here) as picker:
            picker.select(1)
            picker.app.box.value = "thing 2"
            await picker.until(lambda: picker.app.settled)
            question = await picker.opened("ctrl+a", Question)
            assert str(question.query_one(Static).content) == (
                "Archive 1 thread? 1 selected thread not in this list."
            )
            assert await picker.act("n") == "Nothing was changed."
            assert archived(here) == []

    asyncio.run(work())


def test_an_archived_thread_is_taken_out_and_put_back_by_undo(tmp_path: Path) -> None:
    here = home_of(tmp_path, "old thing", "new thing", archived=1)
    before = tree(here.home)

    async def work() -> None:
        async with picking(here) as picker:
            picker.app.box.value = "is:archived"
            await picker.until(lambda: picker.app.chosen == [thread_id(0)])
            assert await picker.act("ctrl+a") == "Unarchived “old thing”. Ctrl+Z undoes."
            assert archived(here) == []
            await picker.act("ctrl+z")

    asyncio.run(work())
    assert tree(here.home) == before


def test_what_a_thread_spawned_goes_along_and_comes_back(tmp_path: Path) -> None:
    here = home_of(tmp_path, "parent")
    write_rollout(here.home, 1, "child", source=spawned_by_small(0))
    write_rollout(here.home, 2, "archived before", source=spawned_by_small(0), archived=True)
    synced(here.home, here.index)
    before, held = tree(here.home), meaning(here.index)

    async def work() -> None:
        async with picking(here) as picker:
            picker.select(0)
            said = await picker.act("ctrl+a")
            assert said == "Archived “parent” and 1 thread that they spawned. Ctrl+Z undoes."
            assert archived(here) == [0, 1, 2]
            await picker.act("ctrl+z")

    asyncio.run(work())
    assert (tree(here.home), meaning(here.index)) == (before, held)


def test_many_threads_are_moved_when_the_question_is_answered(tmp_path: Path) -> None:
    here = home_of(tmp_path, *(f"thing {number}" for number in range(30)))
    before = tree(here.home)

    async def work() -> None:
        async with picking(here) as picker:
            picker.select(*range(30))
            for answer, said in (
                ("n", "Nothing was changed."),
                ("escape", "Nothing was changed."),
                ("y", "Archived 30 threads. Ctrl+Z undoes."),
            ):
                question = await picker.opened("ctrl+a", Question)
                assert str(question.query_one(Static).content) == "Archive 30 threads?"
                await picker.press("ctrl+a", "ctrl+z")  # no key of the picker counts meanwhile
                assert await picker.act(answer) == said
            assert archived(here) == [*range(30)]
            await picker.act("ctrl+z")

    asyncio.run(work())
    assert tree(here.home) == before


def test_a_refused_thread_is_named_with_the_reason_and_the_others_go(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing")

    async def work() -> None:
        async with picking(here) as picker:
            with WriterLock.acquire(here.home, thread_id(0)):
                picker.select(0, 1)
                said = await picker.act("ctrl+a")
            told, refused = said.splitlines()
            assert told == "Archived “second thing”. Ctrl+Z undoes."
            assert refused.startswith("“first thing” already has an active")
            assert refused.endswith("close it in the program that has it open.")
            assert archived(here) == [1]
            assert picker.app.chosen == [thread_id(0)]

    asyncio.run(work())


def test_of_many_refused_threads_some_are_named(tmp_path: Path) -> None:
    here = home_of(tmp_path, *(f"thing {number}" for number in range(6)))

    async def work() -> None:
        async with picking(here) as picker:
            with ExitStack() as locks:
                for number in range(6):
                    locks.enter_context(WriterLock.acquire(here.home, thread_id(number)))
                picker.select(*range(6))
                lines = (await picker.act("ctrl+a")).splitlines()
            assert lines[0] == "Nothing was moved."
            assert len(lines) == 5
            assert lines[-1] == "and 3 other threads that cannot be changed now"
            assert await picker.act("ctrl+z") == "There is nothing to undo."

    asyncio.run(work())


def test_an_undo_says_what_it_could_not_put_back(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing")
    cli = Inside(here.home, tmp_path, {"THREADKEEP_DB": str(here.index)})

    async def work() -> None:
        async with picking(here) as picker:
            picker.select(0, 1)
            await picker.act("ctrl+a")
            await asyncio.to_thread(cli.run, "unarchive", thread_id(0))
            told, refused = (await picker.act("ctrl+z")).splitlines()
            assert told == "Undone: archived 2 threads."
            assert refused == "“first thing” is not archived: nothing is left to do."
            assert archived(here) == []

    asyncio.run(work())


def test_a_codex_that_cannot_be_told_keeps_all_where_it_is(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing")
    codex = Codex.empty(here.home)
    codex.change("ALTER TABLE threads RENAME COLUMN archived TO shelved")

    async def work() -> None:
        async with picking(here) as picker:
            told, refused = (await picker.act("ctrl+a")).splitlines()
            assert told == "Nothing was moved."
            assert "threadkeep codex-check shows more" in refused
            assert archived(here) == []

    asyncio.run(work())


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing")
    (here.home / "archived_sessions").touch()

    async def work() -> None:
        async with picking(here) as picker:
            told, refused = (await picker.act("ctrl+a")).splitlines()
            assert told == "Nothing was moved."
            assert refused.startswith("“first thing”: ")
            assert "archived_sessions cannot be used: " in refused
            assert refused.endswith("make it readable and writable.")
            (here.home / "archived_sessions").unlink()
            assert await picker.act("ctrl+a") == "Archived “first thing”. Ctrl+Z undoes."

    asyncio.run(work())
    assert archived(here) == [0]


def test_an_index_that_another_process_holds_is_told_and_follows_later(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing")

    async def work() -> None:
        async with picking(here) as picker:
            picker.app.index.database.stop_waiting()
            with held(here):
                said = await picker.act("ctrl+a")
            assert "was locked by another process" in said
            assert said.endswith("press the key again in a moment.")
            said = await picker.act("ctrl+a")
            assert said.endswith("is already archived: nothing is left to do.")

    asyncio.run(work())
    assert archived(here) == [0]
    assert codes(verified(here.home, here.index)) == {}


def test_a_key_is_refused_while_a_change_is_made_and_the_index_catches_up(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing")

    async def work() -> None:
        async with picking(here) as picker:
            for number in range(2, 40):
                write_rollout(here.home, number, f"thing {number}")
            with held(here):
                catching_up = asyncio.create_task(picker.app.index.sync())
                await picker.press("ctrl+a")
                await picker.until(lambda: picker.said.startswith("Archiving"))
                await picker.press("ctrl+a")
                assert picker.said == "One moment: the last change is not done yet."
            await picker.done()
            await catching_up
            assert archived(here) == [1]

    asyncio.run(work())
    assert codes(verified(here.home, here.index)) == {}


def test_leaving_during_a_move_leaves_nothing_half_done(tmp_path: Path) -> None:
    here = home_of(tmp_path, *(f"thing {number}" for number in range(9)))

    async def work() -> None:
        async with picking(here) as picker:
            picker.select(*range(9))
            await picker.press("ctrl+a", "escape")

    asyncio.run(work())
    assert archived(here) in ([], [*range(9)])
    assert codes(verified(here.home, here.index)) == {}


def archived(here: Locations) -> list[int]:
    """The numbers of the threads in the archive."""
    found = (here.home / "archived_sessions").rglob("*.jsonl")
    return sorted(int(path.stem[-4:], 16) for path in found)


def spawned_by_small(parent: int) -> object:
    """The source of a thread that another one has spawned."""
    spawn = {"parent_thread_id": thread_id(parent), "depth": 1}
    return {"subagent": {"thread_spawn": spawn}}
