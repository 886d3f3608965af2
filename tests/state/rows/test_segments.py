"""One of several files is the thread's own, whatever its form."""

import os
import shutil
from pathlib import Path

import zstandard

from tests.samples.homes import encoded, file_name, lines, write
from tests.support.indexes import fresh_meaning, meaning, rows, sync


def test_the_newest_segment_is_the_thread_and_the_others_are_accounted_for(
    home: Path, index_path: Path
) -> None:
    write(home, 1, encoded(lines(1, "at first")))
    write(home, 1, encoded(lines(1, "reverted")), segment=1)
    newest = write(home, 1, encoded(lines(1, "again")), segment=2)
    shutil.copy(home / "sessions/2026/05/28" / file_name(1), write(home, 1, archived=True))
    sync(home, index_path)
    [row] = rows(index_path, "SELECT title FROM threads")
    assert row["title"] == "again"
    buckets = rows(index_path, "SELECT bucket FROM rollout_files ORDER BY bucket")
    assert [entry["bucket"] for entry in buckets] == ["indexed", "segment", "segment", "segment"]
    newest.unlink()
    sync(home, index_path)
    [row] = rows(index_path, "SELECT title FROM threads")
    assert row["title"] == "reverted"


def test_where_the_newest_segment_alone_is_archived_the_one_before_is_the_thread(
    home: Path, index_path: Path
) -> None:
    write(home, 1, encoded(lines(1, "at first")))
    newest = write(home, 1, encoded(lines(1, "reverted")), segment=1)
    sync(home, index_path)
    (home / "archived_sessions").mkdir()
    newest.rename(home / "archived_sessions" / newest.name)
    sync(home, index_path)
    assert rows(index_path, "SELECT title FROM threads") == [{"title": "at first"}]
    assert meaning(index_path) == fresh_meaning(home)


def test_an_unreadable_newest_segment_leaves_the_thread_to_the_one_before(
    home: Path, index_path: Path
) -> None:
    write(home, 1, encoded(lines(1, "at first")))
    write(home, 1, b"\0\0\0", segment=1)
    sync(home, index_path)
    [row] = rows(index_path, "SELECT title FROM threads")
    assert row["title"] == "at first"


def test_a_compressed_rollout_is_the_same_thread(home: Path, index_path: Path) -> None:
    path = write(home, 1, encoded(lines(1, "squeezed")))
    sync(home, index_path)
    before = rows(index_path, "SELECT id, title, updated_at_ms FROM threads")
    packed = path.with_name(path.name + ".zst")
    packed.write_bytes(zstandard.compress(path.read_bytes()))
    os.utime(packed, ns=(path.stat().st_mtime_ns,) * 2)
    sync(home, index_path)  # both are there for a moment: plain wins
    assert rows(index_path, "SELECT rollout_path FROM threads")[0]["rollout_path"].endswith("jsonl")
    path.unlink()
    sync(home, index_path)
    assert rows(index_path, "SELECT id, title, updated_at_ms FROM threads") == before
    assert rows(index_path, "SELECT rollout_path FROM threads")[0]["rollout_path"].endswith("zst")


def test_a_migrated_rollout_changes_its_history_mode(home: Path, index_path: Path) -> None:
    """Codex rewrites legacy files in place as paginated; the mode of a row never changes, so
    the row is another one."""
    tools = [{"type": "function", "name": "old", "description": "d", "inputSchema": {}}]
    path = write(home, 1, encoded(lines(1, history_mode="legacy", dynamic_tools=tools)))
    sync(home, index_path)
    path.unlink()
    tools[0]["name"] = "new"
    write(home, 1, encoded(lines(1, history_mode="paginated", dynamic_tools=tools)), mtime_ms=5)
    sync(home, index_path)
    assert rows(index_path, "SELECT history_mode FROM threads") == [{"history_mode": "paginated"}]
    assert rows(index_path, "SELECT name FROM thread_dynamic_tools") == [{"name": "new"}]
