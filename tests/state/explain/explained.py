"""Explanations of a home, for the tests of them."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from state.explain.explain import Explanation, explain
from state.thread_index import open_index
from tests.samples.homes import thread_id

STAMP = "2026-05-28T20:00:00.000Z"
CWD = "/work/p1"
ID = thread_id(1)


def explained(
    home: Path, index: Path, reference: str = ID, *, cwd: str | None = CWD, sync: bool = True
) -> Explanation:
    async def work() -> Explanation:
        async with open_index(home, index) as opened:
            if sync:
                await opened.catch_up()
            return await explain(opened, reference, cwd=cwd)

    return asyncio.run(work())


def codes(found: Explanation, where: str) -> set[str]:
    """What hides the thread there."""
    return {r.code for r in found.reasons if r.hides and r.where in (where, "both")}


def notes(found: Explanation) -> set[str]:
    return {reason.code for reason in found.reasons if not reason.hides}


def codex_database(home: Path, *stored: tuple[str, str, int]) -> None:
    with closing(sqlite3.connect(home / "state_5.sqlite")) as connection:
        connection.execute("CREATE TABLE threads (id TEXT, rollout_path TEXT, archived INTEGER)")
        connection.executemany("INSERT INTO threads VALUES (?, ?, ?)", stored)
        columns = "id INTEGER, status TEXT, last_watermark TEXT, updated_at INTEGER"
        connection.execute(f"CREATE TABLE backfill_state ({columns})")
        connection.execute("INSERT INTO backfill_state VALUES (1, 'complete', NULL, 0)")
        connection.commit()


def picker_database(home: Path, paths: dict[str, Path]) -> None:
    """Codex's database with the columns that its picker asks for, and a row for each thread."""
    codex_database(home, *((id_, str(path), 0) for id_, path in paths.items()))
    with closing(sqlite3.connect(home / "state_5.sqlite")) as connection, connection:
        for column in ("source", "model_provider", "cwd", "preview", "attached_thread_parent_id"):
            connection.execute(f"ALTER TABLE threads ADD {column} TEXT")
        values = ("cli", "openai", CWD, "hello")
        connection.execute(
            "UPDATE threads SET source = ?, model_provider = ?, cwd = ?, preview = ?", values
        )
