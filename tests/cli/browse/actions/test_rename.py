"""Renaming in the picker."""

import asyncio
import json
from pathlib import Path

from textual.widgets import Input, Static

from cli.browse.dialogs import TextDialog
from tests.cli.browse.actions.picking import home_of, picking
from tests.state.codex.databases import Codex
from tests.support.command import Inside, thread_id, write_rollout
from tests.support.indexes import meaning


def test_a_name_is_given_changed_and_taken_back(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing")
    held = meaning(here.index)
    names = here.home / "session_index.jsonl"
    cli = Inside(here.home, tmp_path, {"THREADKEEP_DB": str(here.index)})

    async def work() -> None:
        async with picking(here) as picker:
            dialog = await picker.opened("f2", TextDialog)
            assert dialog.query_one(Input).value == ""
            await picker.write("  Parser, fixed ")
            assert await picker.act("enter") == "It is now named “Parser, fixed”. Ctrl+Z undoes."
            (line,) = map(json.loads, names.read_text().splitlines())
            assert (line["id"], line["thread_name"]) == (thread_id(1), "Parser, fixed")
            dialog = await picker.opened("f2", TextDialog)
            assert dialog.query_one(Input).value == "Parser, fixed"
            await picker.write(" twice")
            assert "“Parser, fixed twice”" in await picker.act("enter")
            assert cli.run("show", thread_id(1), "--json").json["thread"]["name"].endswith("twice")
            assert await picker.act("ctrl+z") == "Undone: named “Parser, fixed twice”."
            assert json.loads(names.read_text().splitlines()[-1])["thread_name"] == "Parser, fixed"
            assert await picker.act("ctrl+z") == "Undone: named “Parser, fixed”."

    asyncio.run(work())
    assert names.read_text() == ""
    assert meaning(here.index) == held


def test_a_blank_name_and_escape_change_nothing(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing")

    async def work() -> None:
        async with picking(here) as picker:
            dialog = await picker.opened("f2", TextDialog)
            await picker.write("   ")
            await picker.press("enter")
            problem = dialog.query_one(".problem", Static)
            assert str(problem.content) == "The thread name must not be empty."
            await picker.press("a")
            assert str(problem.content) == ""
            await picker.act("escape")

    asyncio.run(work())
    assert not (here.home / "session_index.jsonl").exists()


def test_codex_follows_a_name_and_its_undo(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing")
    codex = Codex.empty(here.home)
    path = next(here.home.rglob("*.jsonl"))
    codex.insert(
        thread_id(0),
        path,
        history_mode="legacy",
        title="first thing",
        first_user_message="first thing",
    )
    before = codex.threads()

    async def work() -> None:
        async with picking(here) as picker:
            await picker.opened("f2", TextDialog)
            await picker.write("Name")
            await picker.act("enter")
            assert codex.threads()[thread_id(0)]["title"] == "Name"
            await picker.act("ctrl+z")

    asyncio.run(work())
    assert codex.threads() == before


def test_a_name_that_was_given_elsewhere_since_stays(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing")
    cli = Inside(here.home, tmp_path, {"THREADKEEP_DB": str(here.index)})

    async def work() -> None:
        async with picking(here) as picker:
            await picker.opened("f2", TextDialog)
            await picker.write("Mine")
            await picker.act("enter")
            await asyncio.to_thread(cli.run, "rename", thread_id(0), "Theirs")
            assert "It has another name by now, and keeps it: “Theirs”." in await picker.act(
                "ctrl+z"
            )

    asyncio.run(work())
    assert cli.run("show", thread_id(0), "--json").json["thread"]["name"] == "Theirs"


def test_one_thread_is_renamed_which_is_not_archived(tmp_path: Path) -> None:
    here = home_of(tmp_path, "first thing", "second thing")

    async def work() -> None:
        async with picking(here) as picker:
            picker.select(0, 1)
            said = await picker.act("f2")
            assert said == "One thread can be renamed, and 2 are selected: Esc selects none."
            picker.app.threads.selected.clear()
            write_rollout(here.home, 1, "second thing")
            cli = Inside(here.home, tmp_path, {"THREADKEEP_DB": str(here.index)})
            await asyncio.to_thread(cli.run, "archive", thread_id(1))
            said = await picker.act("f2")
            assert said == "“second thing” is archived: unarchive it first."

    asyncio.run(work())
