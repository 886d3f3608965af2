"""A fork as a thread: its name, its row, and what is refused."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rollout.files.writer_lock import WriterLock
from rollout.metadata.session_index import append_name, read_names
from state.edit.fork import Forked, fork_thread
from state.errors import ThreadArchived, ThreadNotFound, UnsupportedHistory
from state.thread_index import open_index
from tests.rollout.writing.forked import first, two_turns
from tests.samples.rollouts import (
    FOREIGN_ID,
    THREAD_ID,
    rollout_path,
    write_rollout,
)


def fork_it(home: Path, index_path: Path, reference: str, **point: Any) -> tuple[Forked, Any, Any]:
    """A fork, its row, and the row when the index is made anew."""

    async def work() -> tuple[Forked, Any, Any]:
        async with open_index(home, index_path) as index:
            await index.sync()
            fork = await fork_thread(index, reference, **point)
            row = await index.details(fork.thread_id)
            assert not await index.pending()
        async with open_index(home, index_path.with_name("other.sqlite3")) as index:
            await index.sync()
            return fork, row, await index.details(fork.thread_id)

    return asyncio.run(work())


@pytest.mark.parametrize("paginated", [False, True])
def test_a_fork_is_a_thread_with_a_name_and_a_row(
    home: Path, index_path: Path, paginated: bool
) -> None:
    source = write_rollout(home, two_turns(paginated=paginated))
    before = (home / source).read_bytes()
    append_name(home, THREAD_ID, "the name")
    fork, row, anew = fork_it(home, index_path, THREAD_ID, last_turn="turn-1")
    assert (fork.name, row["name"], fork.indexed) == ("the name", "the name", True)
    assert (row["id"], row["forked_from_id"]) == (fork.thread_id, THREAD_ID)
    assert row["preview"] == "ask turn-1"
    assert {**row, "row_id": 0} == {**anew, "row_id": 0}
    assert (home / source).read_bytes() == before
    with WriterLock.acquire(home, fork.thread_id):
        assert (home / fork.path).is_file()


@pytest.mark.parametrize("cwd", ["", "C:\\work", "relative", "/a\0b"])
def test_a_fork_says_of_folder_and_provider_what_its_source_says(
    home: Path, index_path: Path, cwd: str
) -> None:
    lines = two_turns(paginated=False)
    lines[0]["payload"]["cwd"] = cwd
    assert "model_provider" not in lines[0]["payload"]
    write_rollout(home, lines)
    (home / "config.toml").write_text('model_provider = "mine"\n')
    fork, row, _ = fork_it(home, index_path, THREAD_ID)
    assert (row["model_provider"], row["cwd"]) == ("mine", cwd)
    told = json.loads((home / fork.path).read_bytes().splitlines()[0])["payload"]
    assert told["cwd"] == cwd
    assert "model_provider" not in told


def test_a_paginated_fork_without_a_name_is_called_like_its_source_begins(
    home: Path, index_path: Path
) -> None:
    lines = two_turns(paginated=True)
    write_rollout(home, lines)
    fork, row, _ = fork_it(home, index_path, THREAD_ID)
    assert fork.name == row["name"] == "ask turn-1"
    assert read_names(home)[fork.thread_id].name == "ask turn-1"


def test_git_facts_are_those_of_now_without_credentials(
    home: Path, index_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    for words in (
        ["init", "-q", "-b", "trunk", str(folder)],
        ["-C", str(folder), "remote", "add", "origin", "https://me:secret@host.invalid/x.git"],
    ):
        subprocess.run(["git", *words], check=True)
    write_rollout(home, [first(cwd=str(folder)), *two_turns(paginated=False)[1:]])
    _, row, _ = fork_it(home, index_path, THREAD_ID)
    assert (row["git_branch"], row["git_origin_url"]) == ("trunk", "https://host.invalid/x.git")


@pytest.mark.parametrize(
    ("mode", "archived", "error"),
    [
        ("legacy", True, ThreadArchived),
        ("lunar", False, UnsupportedHistory),
        (None, False, UnsupportedHistory),
    ],
)
def test_what_codex_would_not_fork_is_refused_and_nothing_changes(
    home: Path, index_path: Path, mode: str | None, archived: bool, error: type[Exception]
) -> None:
    lines = [first(history_mode=mode), *two_turns(paginated=False)[1:]]
    write_rollout(home, lines, rollout_path(archived=archived))
    before = sorted(home.rglob("*"))
    with pytest.raises(error):
        fork_it(home, index_path, THREAD_ID)
    with pytest.raises(ThreadNotFound):
        fork_it(home, index_path, FOREIGN_ID)
    assert sorted(home.rglob("*")) == before
