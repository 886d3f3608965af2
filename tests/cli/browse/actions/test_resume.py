"""Going on with a thread in Codex: what the picker ends with, and what it copies."""

import asyncio
from pathlib import Path

import pytest

from cli.browse.picked import Picked
from state.userdata.relink import relink
from tests.cli.browse.actions.picking import home_of, picking
from tests.support.checks import synced
from tests.support.command import thread_id, write_rollout


@pytest.mark.parametrize(("key", "action"), [("ctrl+r", "resume"), ("ctrl+f", "fork")])
def test_the_picker_ends_with_the_thread(
    key: str, action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = home_of(tmp_path, "first thing", "second thing")
    codex = tmp_path / "bin/codex"
    codex.parent.mkdir()
    codex.write_text("#!/bin/sh\n")
    codex.chmod(0o755)
    monkeypatch.setenv("PATH", str(codex.parent))

    async def work() -> None:
        async with picking(here) as picker:
            await picker.press("down")
            await picker.act(key)
            await picker.until(lambda: picker.app.return_value)
            ended = picker.app.return_value
            assert isinstance(ended, Picked)
            assert (ended.row["id"], ended.action) == (thread_id(0), action)

    asyncio.run(work())


def test_what_codex_cannot_go_on_with_is_told_and_the_picker_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = home_of(tmp_path, "old thing", "new thing", archived=1)
    monkeypatch.setenv("PATH", str(tmp_path))

    async def work() -> None:
        async with picking(here) as picker:
            said = await picker.act("ctrl+r")
            assert said == (
                "There is no codex on PATH: Ctrl+Y copies the command that resumes the thread."
            )
            picker.select(0)
            said = await picker.act("ctrl+f")
            assert said == "“old thing” is archived: unarchive it first."
            picker.select(1)
            said = await picker.act("ctrl+r")
            assert said == "Codex takes one thread, and 2 are selected: Esc selects none."
            assert picker.app.return_value is None
            assert picker.app.is_running

    asyncio.run(work())


@pytest.mark.parametrize("key", ["ctrl+r", "ctrl+f"])
def test_a_folder_that_is_gone_is_told_and_the_picker_stays(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = home_of(tmp_path / "api", "first thing", "second thing")
    codex = tmp_path / "bin/codex"
    codex.parent.mkdir()
    codex.write_text("#!/bin/sh\n")
    codex.chmod(0o755)
    monkeypatch.setenv("PATH", str(codex.parent))
    old, new = tmp_path / "gone", tmp_path / "new"
    write_rollout(here.home, 2, "third thing", cwd=str(old))
    synced(here.home, here.index)

    async def work() -> None:
        async with picking(here) as picker:
            said = await picker.act(key)
            assert said == (
                f"The thread's folder {old} cannot be entered: No such file or directory:"
                " threadkeep relink OLD NEW records where a folder is now; the command that Ctrl+Y"
                " copies asks for one."
            )
            assert picker.app.return_value is None
            assert picker.app.chosen == [thread_id(2)]
            new.mkdir()
            await relink(picker.app.index.database, str(old), str(new))
            await picker.act(key)
            await picker.until(lambda: picker.app.return_value)

    asyncio.run(work())


def test_the_command_is_copied_and_shown(tmp_path: Path) -> None:
    here = home_of(tmp_path / "with blanks", "first thing", "second thing")

    async def work() -> None:
        async with picking(here, size=(200, 24)) as picker:
            command = f"cd '{tmp_path}/with blanks' && codex resume {thread_id(1)}"
            assert await picker.act("ctrl+y") == f"Copied: {command}"
            assert picker.app.clipboard == command
            picker.select(0, 1)
            assert await picker.act("ctrl+y") == "Copied: 2 commands"
            assert len(picker.app.clipboard.splitlines()) == 2

    asyncio.run(work())
