"""Threads that are moved, for the tests of that."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rollout.errors import RolloutError
from state.db.location import moves_under_way
from state.edit.archive import move_thread
from state.edit.move_plan import Action
from state.errors import (
    StateError,
)
from state.thread_index import ThreadIndex, open_index
from tests.samples.homes import thread_id
from tests.state.codex.databases import Codex
from tests.support.checks import codes, synced, verified
from tests.support.indexes import meaning

Result = TypeVar("Result")


def spawned_by(parent: int, depth: int = 1) -> dict[str, Any]:
    """The source of a thread that another one has spawned."""
    spawn = {"parent_thread_id": thread_id(parent), "depth": depth}
    return {"subagent": {"thread_spawn": spawn}}


def with_index(home: Path, path: Path, work: Callable[[ThreadIndex], Awaitable[Result]]) -> Result:
    """What ``work`` gives for the index, opened for it alone."""

    async def opened() -> Result:
        async with open_index(home, path) as index:
            return await work(index)

    return asyncio.run(opened())


def tree(home: Path) -> dict[str, bytes]:
    """Every rollout below a home with its content."""
    return {
        path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("rollout-*")
    }


def refused(
    home: Path,
    path: Path,
    work: Callable[[ThreadIndex], Awaitable[Result]],
    error: type[StateError | RolloutError],
) -> Exception:
    """The error that ``work`` ends with; it must not have changed anything."""
    synced(home, path)
    before, held = tree(home), meaning(path)
    with pytest.raises(error) as told:
        with_index(home, path, work)
    assert tree(home) == before
    assert meaning(path) == held
    assert not moves_under_way(path)
    return told.value


def assert_in_step(home: Path, path: Path, **findings: int) -> None:
    """The index is as one that is made of the files now, which have these findings."""
    fresh = path.with_name("fresh") / "index.sqlite3"
    synced(home, fresh)
    assert meaning(path) == meaning(fresh)
    assert codes(verified(home, path)) == findings
    for file in fresh.parent.iterdir():
        file.unlink()


def _locked(codex: Codex) -> Callable[[], object]:
    other = sqlite3.connect(codex.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other.close


def _newer(codex: Codex) -> Callable[[], object]:
    codex.change("ALTER TABLE threads RENAME COLUMN archived TO shelved")
    return lambda: None


def move(
    number: int, action: Action, **options: Any
) -> Callable[[ThreadIndex], Awaitable[list[str]]]:
    """Moves a thread of a home."""
    return lambda index: move_thread(index, thread_id(number), action, **options)
