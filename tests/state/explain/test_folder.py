"""Why the picker is empty or short in a folder."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from state.explain.folder import FolderExplanation, explain_folder
from state.thread_index import open_index
from state.userdata.relink import relink
from tests.samples.homes import encoded, lines, thread_id, write
from tests.state.explain.explained import CWD, codes, explained, picker_database

OTHER = "/work/other"


def of_folder(home: Path, index: Path, folder: str | None = CWD) -> FolderExplanation:
    async def work() -> FolderExplanation:
        async with open_index(home, index) as opened:
            await opened.catch_up()
            return await explain_folder(opened, folder)

    return asyncio.run(work())


def counts(found: FolderExplanation) -> dict[str, int]:
    return {group.code: group.threads for group in found.hidden}


def test_threads_are_counted_by_what_keeps_them_out(home: Path, index_path: Path) -> None:
    def add(number: int, archived: bool = False, cut: int | None = None, **meta: Any) -> Path:
        values = lines(number, **{"cwd": CWD, **meta})
        return write(home, number, encoded(values[:cut]), archived=archived)

    paths = {thread_id(number): add(number) for number in range(1, 8)}
    paths |= {thread_id(8): add(8, model_provider="mine")}
    add(10, archived=True)
    add(11, source="exec")
    add(12, source={"subagent": "review"})
    add(13, cut=1)
    add(14, history_mode="woven")
    add(15, cli_version=None)
    add(20, cwd=OTHER)
    add(21, cwd=f"{CWD}/below")
    add(22, cwd=OTHER, archived=True)
    add(23, cwd="/old/p1")
    add(24, cwd=f"{home.parent}/{Path(CWD).name}")
    (home.parent / Path(CWD).name).mkdir()
    found = of_folder(home, index_path)
    assert [finding.kind.code for finding in found.problems] == ["codex_no_database"]
    assert (found.threads, found.shown, found.fork_shows) == (14, 8, 7)
    assert [(group.code, group.threads, group.command) for group in found.hidden] == [
        ("archived", 1, "threadkeep list --archived --cwd ."),
        ("source_kind", 1, "codex resume --include-non-interactive"),
        ("source_kind", 1, "threadkeep list --cwd . --all-sources"),
        ("empty_preview", 1, None),
        ("unknown_history_mode", 1, "threadkeep list --cwd ."),
        ("unreadable_line", 1, "threadkeep list --cwd ."),
    ]
    assert (found.other_folders, found.other_shown, found.below, found.moved) == (5, 4, 1, 0)
    assert found.gone == {"/old/p1": 1}
    everywhere = of_folder(home, index_path, None)
    assert (everywhere.shown, everywhere.threads, everywhere.other_folders) == (12, 19, 0)

    async def move() -> None:
        async with open_index(home, index_path) as opened:
            await relink(opened.database, "/old/p1", CWD)

    asyncio.run(move())
    found = of_folder(home, index_path)
    assert (found.moved, found.gone) == (1, {})
    picker_database(home, paths)
    with closing(sqlite3.connect(home / "state_5.sqlite")) as codex, codex:
        for number, change in enumerate(
            ("archived = 1", "rollout_path = '/gone'", "id = 'lost'", "cwd = '/else'"), 1
        ):
            codex.execute(f"UPDATE threads SET {change} WHERE id = ?", (thread_id(number),))
    found = of_folder(home, index_path)
    assert counts(found) == {
        "codex_row_missing": 6,  # those that were never given one, and the lost one
        "codex_archived_differs": 1,
        "codex_path_wrong": 1,
        "unknown_history_mode": 1,
    }
    assert (found.shown, found.reads_files, found.problems) == (4 + 1, False, [])


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("status = 'running', updated_at = unixepoch()", "codex_backfill_stuck"),
        ("status = 'odd'", "codex_backfill_stuck"),
        ("status = 'pending'", "codex_backfill_pending"),
    ],
)
def test_what_keeps_codex_from_starting_comes_along(
    state: str, code: str, home: Path, index_path: Path
) -> None:
    picker_database(home, {thread_id(1): write(home, 1, encoded(lines(1, cwd=CWD)))})
    with closing(sqlite3.connect(home / "state_5.sqlite")) as codex, codex:
        codex.execute(f"UPDATE backfill_state SET {state}")
    found = of_folder(home, index_path)
    assert [finding.kind.code for finding in found.problems] == [code]
    assert found.stopped == (code == "codex_backfill_stuck")


def test_the_picker_reads_the_files_where_no_row_fits(home: Path, index_path: Path) -> None:
    path = write(home, 1, encoded(lines(1, cwd=CWD)))
    write(home, 2, encoded(lines(2, cwd=CWD)[:1]))
    picker_database(home, {thread_id(3): path})
    with closing(sqlite3.connect(home / "state_5.sqlite")) as codex, codex:
        codex.execute("UPDATE threads SET archived = 1")
    write(home, 4, encoded(lines(4, cwd=OTHER)))
    found = of_folder(home, index_path)
    assert (found.shown, found.reads_files, counts(found)) == (1, True, {"empty_preview": 1})
    assert (found.other_folders, found.other_shown) == (1, 1)


@pytest.mark.parametrize("value", ["x'ff00'", "NULL"])
def test_values_that_codex_never_writes_are_put_up_with(
    value: str, home: Path, index_path: Path
) -> None:
    paths = {thread_id(n): write(home, n, encoded(lines(n, cwd=CWD))) for n in (1, 2)}
    picker_database(home, paths)
    columns = ("rollout_path", "source", "cwd", "model_provider", "attached_thread_parent_id")
    with closing(sqlite3.connect(home / "state_5.sqlite")) as codex, codex:
        for column in columns:
            rest = ", ".join(value if name == column else name for name in columns)
            codex.execute(
                f"INSERT INTO threads (id, archived, preview, {', '.join(columns)})"
                f" SELECT {value}, 0, preview, {rest} FROM threads WHERE id = ?",
                [thread_id(1)],
            )
        codex.execute(f"UPDATE threads SET source = {value} WHERE id = ?", [thread_id(1)])
    found = of_folder(home, index_path)
    assert counts(found)["source_kind"] == 1
    assert "source_kind" in codes(explained(home, index_path), "codex")
