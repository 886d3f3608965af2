"""The index follows the files, reads only what changed, and never differs from a fresh one."""

import json
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from rollout.metadata.extract import extract_file
from state.rows.writer import load_context, store_files
from state.thread_index import ThreadIndex
from tests.samples import homes
from tests.samples.homes import encoded, event, lines, thread_id, write
from tests.support.effort import examples
from tests.support.indexes import fresh_meaning, in_index, meaning, rows, sync


def read_bytes() -> int:
    """Bytes this process has asked the system for so far."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("rchar:"):
            return int(line.split()[1])
    raise AssertionError


class Home(RuleBasedStateMachine):
    """Whatever happens to the files, a sync leaves what a fresh index would hold."""

    numbers = st.integers(0, 5)

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.home = Path(self.folder.name) / "home"
        (self.home / "sessions").mkdir(parents=True)
        self.index = Path(self.folder.name) / "index.sqlite3"
        self.clock = 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.in_step()
            self.folder.cleanup()

    def tick(self) -> int:
        self.clock += 1
        return homes.BASE_MS + self.clock * 7001

    def files(self) -> list[Path]:
        return sorted(path for path in self.home.rglob("rollout-*") if path.is_file())

    @rule(
        number=numbers, archived=st.booleans(), mode=st.sampled_from(["legacy", "paginated", "x"])
    )
    def add(self, number: int, archived: bool, mode: str) -> None:
        content = encoded(lines(number, f"a prompt {self.clock}", history_mode=mode))
        write(self.home, number, content, archived=archived, mtime_ms=self.tick())

    @rule(number=numbers, segment=st.integers(0, 2), to_nothing=st.booleans())
    def revert(self, number: int, segment: int, to_nothing: bool) -> None:
        content = lines(number, f"after revert {self.clock}")
        written = encoded(content[:2] if to_nothing else content)
        write(self.home, number, written, segment=segment, mtime_ms=self.tick())

    @rule(number=numbers, base=st.one_of(numbers, st.integers(5000, 5002)))
    def fork(self, number: int, base: int) -> None:
        cut = {"thread_id": thread_id(base), "end_ordinal_exclusive": 2}
        made = lines(number, history_mode="paginated", history_base=cut)[:1]
        write(self.home, number, encoded(made), mtime_ms=self.tick())

    @precondition(lambda self: self.files())
    @rule(
        data=st.data(),
        whole=st.booleans(),
        kind=st.sampled_from(["token", "user", "start", "name", "meta", "bad"]),
    )
    def append(self, data: st.DataObject, whole: bool, kind: str) -> None:
        path = data.draw(st.sampled_from(self.files()))
        if path.suffix == ".zst":
            return
        stamp = "2026-05-28T21:00:00.000Z"
        added = {
            "token": encoded(
                [
                    event(
                        stamp,
                        "token_count",
                        info={"total_token_usage": {"total_tokens": self.clock}},
                    )
                ]
            ),
            "user": encoded([event(stamp, "user_message", message=f"more {self.clock}")]),
            "start": encoded([event(stamp, "task_started", turn_id=f"t{self.clock}")]),
            "name": encoded([event(stamp, "thread_name_updated", thread_name=f"n{self.clock}")]),
            "meta": encoded(lines(data.draw(self.numbers), cwd=f"/other/{self.clock}")[:1]),
            "bad": b'{"timestamp":"2026\xff garbage\n',
        }[kind]
        with path.open("ab") as file:
            file.write(added if whole else added[: len(added) // 2])
        os.utime(path, ns=(self.tick() * 1_000_000,) * 2)

    @precondition(lambda self: self.files())
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.files())).unlink()

    @precondition(lambda self: self.files())
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(self.files()))
        archived = path.parent.name == "archived_sessions"
        folder = self.home / ("sessions/2026/05/28" if archived else "archived_sessions")
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / path.name)

    @precondition(lambda self: self.files())
    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(self.files()))
        path.write_bytes(b"" if self.clock % 2 else path.read_bytes()[:150])
        os.utime(path, ns=(self.tick() * 1_000_000,) * 2)

    @precondition(lambda self: self.files())
    @rule(data=st.data())
    def compress(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(self.files()))
        if path.suffix == ".zst":
            return
        info = path.stat()
        packed = path.with_name(path.name + ".zst")
        packed.write_bytes(zstandard.compress(path.read_bytes(), 3))
        os.utime(packed, ns=(info.st_atime_ns, info.st_mtime_ns))
        path.unlink()

    @precondition(lambda self: self.files())
    @rule(data=st.data(), added=st.sampled_from([" (1)", ".sync-conflict-1"]), kept=st.booleans())
    def copy(self, data: st.DataObject, added: str, kept: bool) -> None:
        path = data.draw(st.sampled_from(self.files()))
        copy = path.with_name(path.name.replace(".jsonl", f"{added}.jsonl", 1))
        if len(copy.name) < 200:
            (shutil.copy2 if kept else Path.rename)(path, copy)

    @rule(number=numbers, name=st.sampled_from(["a name", "Ünother", " "]))
    def rename(self, number: int, name: str) -> None:
        with (self.home / "session_index.jsonl").open("a") as file:
            named = {"id": thread_id(number), "thread_name": name, "updated_at": "x"}
            file.write(json.dumps(named) + "\n")

    @rule(provider=st.sampled_from(["openai", "mock"]))
    def configure(self, provider: str) -> None:
        (self.home / "config.toml").write_text(f'model_provider = "{provider}"\n# {self.clock}')

    @rule()
    def in_step(self) -> None:
        sync(self.home, self.index)
        assert meaning(self.index) == fresh_meaning(self.home)
        files = rows(self.index, "SELECT count(*) AS n FROM rollout_files")[0]["n"]
        assert files == len(self.files())
        assert sync(self.home, self.index).done == 0


Home.TestCase.settings = examples(15, stateful_step_count=12)
TestHome = Home.TestCase


def test_only_what_changed_is_read(home: Path, index_path: Path) -> None:
    for number in range(20):
        write(home, number)
    assert sync(home, index_path).done == 20
    assert sync(home, index_path).done == 0
    with write(home, 7).open("ab") as file:
        file.write(encoded([event("2026-05-28T21:00:00.000Z", "user_message", message="more")]))
    assert sync(home, index_path).done == 1


def test_a_line_appended_to_a_big_rollout_costs_a_line(home: Path, index_path: Path) -> None:
    filler = {"type": "function_call_output", "call_id": "c", "output": "x" * 2000}
    line = {"timestamp": "2026-05-28T20:00:01.000Z", "type": "response_item", "payload": filler}
    path = write(home, 1, encoded(lines(1, "big")) + encoded([line]) * 10_000)

    async def scenario(index: ThreadIndex) -> int:
        await index.sync()
        usage = {"total_token_usage": {"total_tokens": 777}}
        with path.open("ab") as file:
            file.write(encoded([event("2026-05-28T21:00:00.000Z", "token_count", info=usage)]))
        before = read_bytes()
        await index.sync()
        return read_bytes() - before

    assert path.stat().st_size > 20_000_000
    assert in_index(home, index_path, scenario) < 1_000_000
    [row] = rows(index_path, "SELECT tokens_used, title FROM threads")
    assert row == {"tokens_used": 777, "title": "big"}


def test_a_moved_rollout_is_archived_without_being_read_again(home: Path, index_path: Path) -> None:
    content = encoded(lines(1, "mine")) + b" " * 3_000_000 + b"\n"
    path = write(home, 1, content)

    async def scenario(index: ThreadIndex) -> int:
        await index.sync()
        (home / "archived_sessions").mkdir()
        path.rename(home / "archived_sessions" / path.name)
        before = read_bytes()
        await index.sync()
        return read_bytes() - before

    assert in_index(home, index_path, scenario) < 1_000_000
    [row] = rows(index_path, "SELECT archived, archived_at, updated_at, title FROM threads")
    assert row["archived"] == 1
    assert row["archived_at"] == row["updated_at"]
    assert row["title"] == "mine"


def test_a_rewritten_prefix_is_noticed(home: Path, index_path: Path) -> None:
    """Grown, the same inode, but no longer the same beginning."""
    path = write(home, 1, encoded(lines(1, "first")))
    sync(home, index_path)
    with path.open("r+b") as file:
        file.write(encoded(lines(1, "other", cwd="/elsewhere")) * 2)
    sync(home, index_path)
    [row] = rows(index_path, "SELECT title, cwd FROM threads")
    assert row == {"title": "other", "cwd": "/elsewhere"}


def test_a_failed_file_is_tried_again_when_it_changes(home: Path, index_path: Path) -> None:
    path = write(home, 1, b"")
    write(home, 2)
    counts = sync(home, index_path)
    assert (counts.done, counts.unreadable) == (2, 1)
    [entry] = rows(index_path, "SELECT * FROM rollout_files WHERE bucket = 'unreadable'")
    assert entry["reason"] == "empty file"
    assert sync(home, index_path).done == 0
    path.write_bytes(encoded(lines(1, "now it is whole")))
    assert sync(home, index_path).unreadable == 0
    assert len(rows(index_path, "SELECT * FROM threads")) == 2
    assert rows(
        index_path, "SELECT attempts FROM rollout_files WHERE thread_id = ?", thread_id(1)
    ) == [{"attempts": 2}]


def test_a_row_from_an_older_extractor_is_read_again(home: Path, index_path: Path) -> None:
    write(home, 1)
    sync(home, index_path)
    import sqlite3

    with sqlite3.connect(index_path) as connection:
        connection.execute("UPDATE threads SET title = 'wrong', extractor_version = 0")
        connection.execute("UPDATE rollout_files SET extractor_version = 0")
    connection.close()
    assert sync(home, index_path).done == 1
    assert rows(index_path, "SELECT title FROM threads") == [{"title": "prompt 1"}]


def test_names_and_the_default_provider_follow_their_files(home: Path, index_path: Path) -> None:
    for number in range(3):
        write(home, number, encoded(lines(number, model_provider=None)))
    sync(home, index_path)
    assert {r["model_provider"] for r in rows(index_path, "SELECT * FROM threads")} == {"openai"}
    (home / "config.toml").write_text('model_provider = "acme"')
    named = {"id": thread_id(1), "thread_name": "Called so", "updated_at": "x"}
    (home / "session_index.jsonl").write_text(json.dumps(named) + "\n")
    assert sync(home, index_path).done == 0
    found = rows(index_path, "SELECT name, model_provider FROM threads ORDER BY id")
    assert [row["name"] for row in found] == [None, "Called so", None]
    assert {row["model_provider"] for row in found} == {"acme"}


def test_a_worker_with_old_names_does_not_keep_new_ones_away(home: Path, index_path: Path) -> None:
    """It read the names, another process applied newer ones, and then it stores a row: the list
    never shows the old name again."""
    write(home, 1)
    path = write(home, 2).relative_to(home).as_posix()
    names = home / "session_index.jsonl"
    names.write_text(json.dumps({"id": thread_id(2), "thread_name": "old"}) + "\n")
    sync(home, index_path)
    behind = load_context(home)
    names.write_text(json.dumps({"id": thread_id(2), "thread_name": "the new name"}) + "\n")
    sync(home, index_path)

    async def late(index: ThreadIndex) -> None:
        outcome = extract_file(home, path)
        store = partial(store_files, outcomes=[outcome], context=behind)
        await index.database.transact(store)

    in_index(home, index_path, late)
    found = rows(index_path, "SELECT name FROM threads ORDER BY id")
    assert [row["name"] for row in found] == [None, "the new name"]


def test_rows_of_a_folder_that_cannot_be_listed_now_stay(home: Path, index_path: Path) -> None:
    """A drive that is away for a moment must not empty the index."""
    from rollout.files.scan import INACCESSIBLE, FoundFile
    from rollout.files.stamp import NO_STAMP
    from state.rows.ledger import compare_with_ledger

    path = "sessions/2026/05/28/rollout-a.jsonl"
    away = FoundFile("sessions/2026", NO_STAMP, f"{INACCESSIBLE}: Input/output error")
    assert compare_with_ledger([away], {path: (path, 1, 2, 3, 0, None)}).vanished == []
    assert compare_with_ledger([], {path: (path, 1, 2, 3, 0, None)}).vanished == [path]


@pytest.mark.parametrize("seconds", [-2_177_452_800, 13_569_465_600, 0])
def test_a_clock_jump_is_no_obstacle(home: Path, index_path: Path, seconds: int) -> None:
    """Modification times of 1901 and 2400; the latter is beyond 64 bits of nanoseconds."""
    path = write(home, 1)
    os.utime(path, (seconds, seconds))
    write(home, 2)
    assert sync(home, index_path).done == 2
    assert sync(home, index_path).done == 0
    assert len(rows(index_path, "SELECT * FROM threads")) == 2


def test_a_fault_of_ours_with_one_file_is_a_finding(
    home: Path,
    index_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(home, 1)
    write(home, 2)
    real = extract_file

    def faulty(home: str, path: str, *rest: Any) -> Any:
        if thread_id(1) in path:
            raise ZeroDivisionError("oops")
        return real(home, path, *rest)

    monkeypatch.setattr("rollout.metadata.worker.extract_file", faulty)
    assert sync(home, index_path).unreadable == 1
    [entry] = rows(index_path, "SELECT reason FROM rollout_files WHERE bucket = 'unreadable'")
    assert "ZeroDivisionError: oops" in entry["reason"]
    assert "Traceback" in caplog.text
    caplog.clear()
    monkeypatch.undo()
    assert sync(home, index_path).unreadable == 0
    assert len(rows(index_path, "SELECT * FROM threads")) == 2
