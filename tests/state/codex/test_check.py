"""What codex-check finds of rows and files, on databases that the real Codex made."""

import asyncio
import shlex
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rollout.files.layout import parse_uuid
from state.checks.findings import Finding
from state.codex.check import check_codex
from state.thread_index import open_index
from tests.samples.homes import encoded, lines, thread_id, write
from tests.state.codex.checked import (
    ARCHIVED,
    GENUINE,
    PLAIN,
    added,
    check,
    codes,
    path_of,
)
from tests.state.codex.databases import Codex

NAMED = "01a1d607-9997-7032-98e4-f60da81873bf"  # paginated, and named in session_index.jsonl
LEGACY = "019c5903-6b45-7472-9cf9-cd56e01d16a4"  # legacy, and named there


def test_a_genuine_database_has_only_lost_names_and_nothing_is_written(
    corpus_home: Path, corpus_index: Path, codex: Codex
) -> None:
    before = codex.path.read_bytes()
    checked, found = check(corpus_home, corpus_index, codex.path)
    assert codes(found) == GENUINE
    assert checked.state
    assert checked.state.known
    assert len(checked.state.threads) == 182
    assert [file.name for file in codex.path.parent.iterdir()] == ["state_5.sqlite"]
    assert codex.path.read_bytes() == before


def test_what_codex_has_not_moved_out_of_its_wal_counts(
    corpus_home: Path, corpus_index: Path, codex: Codex
) -> None:
    with closing(sqlite3.connect(codex.path)) as connection:
        with connection:
            connection.execute("DELETE FROM threads WHERE id = ?", [PLAIN])
        beside = sorted(codex.path.parent.iterdir())
        _, found = check(corpus_home, corpus_index, codex.path)
        assert sorted(codex.path.parent.iterdir()) == beside
    assert [finding.thread_id for finding in added(found)] == [PLAIN]


CHANGES: dict[str, tuple[list[Any], str, str, str | None, str | None]] = {
    # name: (statements, code, thread, measured, expected); {path} is the thread's file
    "no row": (
        ["DELETE FROM threads WHERE id = ?", PLAIN],
        "codex_row_missing",
        PLAIN,
        None,
        "{path}",
    ),
    "the file gone": (
        ["UPDATE threads SET id = 'x' || id, rollout_path = '/gone/x.jsonl' WHERE id = ?", PLAIN],
        "codex_row_stale",
        f"x{PLAIN}",
        "/gone/x.jsonl",
        None,
    ),
    "a path that leads nowhere": (
        ["UPDATE threads SET rollout_path = '/old/home/x.jsonl' WHERE id = ?", PLAIN],
        "codex_path_wrong",
        PLAIN,
        "/old/home/x.jsonl",
        "{path}",
    ),
    "a path with a NUL": (
        ["UPDATE threads SET rollout_path = '/a' || char(0) || 'b' WHERE id = ?", PLAIN],
        "codex_path_wrong",
        PLAIN,
        "/a\0b",
        "{path}",
    ),
    "a relative path": (
        ["UPDATE threads SET rollout_path = 'README.md' WHERE id = ?", PLAIN],
        "codex_path_wrong",
        PLAIN,
        "README.md",
        "{path}",
    ),
    "archived, it says": (
        ["UPDATE threads SET archived = 1 WHERE id = ?", PLAIN],
        "codex_archived_differs",
        PLAIN,
        "archived",
        "active",
    ),
    "active, it says": (
        ["UPDATE threads SET archived = 0 WHERE id = ?", ARCHIVED],
        "codex_archived_differs",
        ARCHIVED,
        "active",
        "archived",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_row_that_does_not_fit_its_file(
    corpus_home: Path, corpus_index: Path, codex: Codex, case: str
) -> None:
    statements, code, thread, measured, expected = CHANGES[case]
    codex.change(*statements)
    _, found = check(corpus_home, corpus_index, codex.path)
    finding = next(finding for finding in found if finding.kind.code == code)
    others = [other.kind.code for other in added(found) if other is not finding]
    assert others == (["codex_row_missing"] if case == "the file gone" else [])
    assert finding.thread_id == thread
    assert finding.measured == measured
    assert finding.expected == (expected and expected.format(path=path_of(corpus_home, thread)))
    if code != "codex_row_stale":
        assert finding.kind.mend == "threadkeep codex-check --fix"


def test_a_row_with_the_file_of_another_thread(
    corpus_home: Path, corpus_index: Path, codex: Codex
) -> None:
    wrong = path_of(corpus_home, NAMED)
    codex.change("UPDATE threads SET rollout_path = ? WHERE id = ?", wrong, PLAIN)
    _, found = check(corpus_home, corpus_index, codex.path)
    assert [(one.kind.code, one.measured) for one in added(found)] == [("codex_path_wrong", wrong)]


def test_a_stale_row_can_be_deleted_with_codex(home: Path, tmp_path: Path) -> None:
    codex = Codex.of(home, tmp_path)
    _, found = check(home, tmp_path / "index.sqlite3", codex.path)
    assert codes(found) == {"codex_row_stale": 182}
    for finding in found:
        assert parse_uuid(finding.thread_id)
        assert finding.mend == f"codex delete {finding.thread_id}"


@pytest.mark.parametrize(
    ("sql", "thread", "shown", "wanted"),
    [
        ("UPDATE threads SET name = 'old' WHERE id = ?", NAMED, "old", "Second näme 🎉"),
        ("UPDATE threads SET title = 'old' WHERE id = ?", LEGACY, "old", "Second näme 🎉"),
    ],
)
def test_a_name_that_is_not_the_last_one(
    corpus_home: Path,
    corpus_index: Path,
    codex: Codex,
    sql: str,
    thread: str,
    shown: str,
    wanted: str,
) -> None:
    codex.change(sql, thread)
    _, found = check(corpus_home, corpus_index, codex.path)
    finding = next(finding for finding in found if finding.thread_id == thread)
    assert (finding.kind.code, finding.measured) == ("codex_name_differs", shown)
    assert finding.expected == wanted
    assert finding.mend == f"threadkeep rename {thread} {shlex.quote(str(finding.expected))}"


def test_names_that_codex_shows_rightly_are_no_findings(
    corpus_home: Path, corpus_index: Path, codex: Codex
) -> None:
    codex.change(
        "UPDATE threads SET name = 'Second näme 🎉' WHERE id = ?",
        NAMED,
        "UPDATE threads SET title = 'Second näme 🎉' WHERE id = ?",
        LEGACY,
        "UPDATE threads SET name = 'only there' WHERE id = ?",
        PLAIN,
    )
    _, found = check(corpus_home, corpus_index, codex.path)
    assert codes(found) == GENUINE - Counter({"codex_name_differs": 1})


def test_other_spellings_of_a_path_are_no_findings(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(corpus_home)
    codex.change(
        "UPDATE threads SET rollout_path = replace(rollout_path, ?, ?) WHERE archived = 0",
        str(corpus_home.resolve()),
        str(link),
        "UPDATE threads SET rollout_path = replace(rollout_path, '.jsonl.zst', '.jsonl')",
    )
    assert not codex.rows("SELECT 1 FROM threads WHERE rollout_path LIKE '%.zst'")
    _, found = check(corpus_home, corpus_index, codex.path)
    assert codes(found) == GENUINE


def test_rows_of_another_home_are_counted_and_left_alone(
    corpus_home: Path, corpus_index: Path, codex: Codex, tmp_path: Path
) -> None:
    other = write(tmp_path / "other", 1)
    codex.change(
        "UPDATE threads SET id = ?, rollout_path = ? WHERE id = ?", thread_id(1), str(other), PLAIN
    )
    _, found = check(corpus_home, corpus_index, codex.path)
    assert codes(found) - GENUINE == {"codex_other_home": 1, "codex_row_missing": 1}


def test_rows_of_a_home_that_this_is_a_copy_of_are_wrong(
    home: Path, index_path: Path, tmp_path: Path
) -> None:
    """The original is still there: Codex would go on with its files."""
    codex = Codex.empty(tmp_path)
    for number in range(3):
        write(home, number)
    link = tmp_path / "link"
    link.symlink_to(home)
    old = shutil.copytree(home, tmp_path / "old")
    inside = shutil.copytree(home, home / "backup")  # in this home, but not where it has rollouts
    paths = [write(old, 0), write(inside, 1), link / write(home, 2).relative_to(home)]
    for number, path in enumerate([*paths, write(old, 3)]):
        codex.insert(thread_id(number), path)
    _, found = check(home, index_path, codex.path)
    wrong = [one for one in found if one.kind.code == "codex_path_wrong"]
    assert [(one.thread_id, one.measured, one.expected) for one in wrong] == [
        (thread_id(n), str(paths[n]), str(write(home, n).resolve())) for n in (0, 1)
    ]
    (other,) = [one for one in found if one.kind.code == "codex_other_home"]
    assert other.message.startswith("Rows that name a file outside the index: 1.")


def test_a_file_that_codex_has_moved_just_now_is_no_finding(
    home: Path, index_path: Path, tmp_path: Path
) -> None:
    """The index had it in the archive when it was read."""
    codex = Codex.empty(tmp_path)
    archived = write(home, 1, archived=True)
    check(home, index_path, codex.path)
    codex.insert(thread_id(1), archived.rename(home / "sessions" / archived.name))

    async def work() -> list[Finding]:
        found: list[Finding] = []
        async with open_index(home, index_path) as index:
            await check_codex(index, codex.path, found.append)
        return found

    assert codes(asyncio.run(work())) == {"codex_other_home": 1}


def test_two_files_of_one_thread(home: Path, tmp_path: Path) -> None:
    write(home, 1)
    copy = write(home, 1, archived=True)
    write(home, 2)
    write(home, 2, segment=1)
    codex = Codex.of(home, tmp_path)
    codex.change("DELETE FROM threads")
    _, found = check(home, tmp_path / "index.sqlite3", codex.path)
    assert codes(found) == {"codex_row_missing": 2, "codex_duplicate": 1}
    finding = next(finding for finding in found if finding.kind.code == "codex_duplicate")
    assert finding.path == finding.measured == str(copy.relative_to(home))
    assert finding.expected == str(write(home, 1).relative_to(home))


def test_a_thread_that_codex_cannot_read_is_missing_with_the_reason(
    home: Path, tmp_path: Path
) -> None:
    content = encoded(lines(1, "caf\xe9")).replace(b"\\u00e9", b"\xe9")
    write(home, 1, content)
    write(home, 2, encoded(lines(2, history_mode="other")))
    codex = Codex.of(home, tmp_path)
    codex.change("DELETE FROM threads")
    _, found = check(home, tmp_path / "index.sqlite3", codex.path)
    assert codes(found) == {"codex_row_missing": 1, "codex_cannot_have": 1}
    assert found[0].thread_id == thread_id(1)
