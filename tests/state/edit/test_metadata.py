"""Names, git facts and memory mode: where they are kept, which one counts, what is refused."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rollout.errors import NotAppendable, WriterActive
from rollout.files.writer_lock import WriterLock
from rollout.metadata.session_index import NAMES_FILE, append_name, read_names
from state.db.location import journal_path
from state.edit.metadata import set_git_info, set_memory_mode, set_name
from state.errors import (
    CodexLocked,
    CodexUnusable,
    InvalidChange,
    InvalidName,
    StateError,
    ThreadArchived,
    UnsupportedHistory,
)
from state.repair.dump import known_user_data, restore
from state.repair.reindex import reindex
from state.thread_index import ThreadIndex, open_index
from state.userdata.model import UserValue
from tests.samples.rollouts import THREAD_ID, content, meta, rollout_path, turn, user, write_rollout
from tests.state.codex.databases import Codex
from tests.support.checks import codes, verified

Result = TypeVar("Result")
GIT = ("git_sha", "git_branch", "git_origin_url")


def worked(home: Path, path: Path, work: Callable[[ThreadIndex], Awaitable[Result]]) -> Result:
    """What ``work`` gives for the index, in step with the files."""

    async def opened() -> Result:
        async with open_index(home, path) as index:
            await index.catch_up()
            return await work(index)

    return asyncio.run(opened())


def row_of(home: Path, path: Path) -> dict[str, Any]:
    async def work(index: ThreadIndex) -> dict[str, Any]:
        return await index.details(THREAD_ID)

    return worked(home, path, work)


def thread(home: Path, mode: str = "legacy", *, archived: bool = False, **fields: object) -> Path:
    lines = [meta(history_mode=mode, **fields), turn(), user("ask")]
    if mode == "paginated":
        lines = [{"ordinal": ordinal, **line} for ordinal, line in enumerate(lines)]
    return home / write_rollout(home, lines, rollout_path(archived=archived))


def name_it(home: Path, path: Path, name: str) -> StateError | None:
    return worked(home, path, lambda index: set_name(index, THREAD_ID, name))[0].codex_error


def test_a_name_is_trimmed_and_a_line_behind_the_others(home: Path, index_path: Path) -> None:
    rollout = thread(home).read_bytes()
    (home / NAMES_FILE).write_bytes(b'{"id":"torn')
    assert name_it(home, index_path, "  one\n") is None
    assert name_it(home, index_path, "two") is None
    lines = (home / NAMES_FILE).read_text("utf-8").splitlines()
    assert lines[0] == '{"id":"torn'
    assert [json.loads(line)["thread_name"] for line in lines[1:]] == ["one", "two"]
    assert list(json.loads(lines[1])) == ["id", "thread_name", "updated_at"]
    assert row_of(home, index_path)["name"] == "two"
    assert home.joinpath(rollout_path()).read_bytes() == rollout


@pytest.mark.parametrize("name", ["", " \n\t"])
def test_a_blank_name_is_refused(home: Path, index_path: Path, name: str) -> None:
    thread(home)
    with pytest.raises(InvalidName):
        name_it(home, index_path, name)
    assert not (home / NAMES_FILE).exists()


def test_of_a_name_in_the_home_and_a_restored_one_the_newer_counts(
    home: Path, index_path: Path
) -> None:
    thread(home)
    append_name(home, THREAD_ID, "in the home")
    at = read_names(home)[THREAD_ID].set_at_ms

    def restored(name: str, set_at_ms: int) -> str:
        fact = UserValue(THREAD_ID, "name", name, set_at_ms)
        worked(home, index_path, lambda index: restore(index.database, home, [fact]))
        assert codes(verified(home, index_path)) == {}
        return str(row_of(home, index_path)["name"])

    assert restored("older", at - 1) == "in the home"
    assert restored("newer", at + 1) == "newer"
    name_it(home, index_path, "newest")
    assert row_of(home, index_path)["name"] == "newest"
    asyncio.run(reindex(home, index_path))
    assert row_of(home, index_path)["name"] == "newest"
    assert codes(verified(home, index_path)) == {}


def set_all(index: ThreadIndex) -> Awaitable[object]:
    async def work() -> None:
        origin = "https://me:secret@host.invalid/x.git"
        await set_git_info(index, THREAD_ID, {"sha": "abc", "branch": " b ", "origin": origin})
        await set_memory_mode(index, THREAD_ID, "disabled")
        await set_git_info(index, THREAD_ID, {"branch": None})

    return work()


@pytest.mark.parametrize("mode", ["legacy", "paginated"])
@pytest.mark.parametrize("grown", [False, True])
def test_what_is_set_is_in_the_row_whichever_way_it_is_made(
    home: Path, index_path: Path, mode: str, grown: bool
) -> None:
    file = thread(home, mode, git={"commit_hash": "old", "branch": "old"})
    before = file.read_bytes()
    worked(home, index_path, set_all)
    if grown:
        with file.open("ab") as stream:
            stream.write(content({"ordinal": 9, **user("more")}))
    row = row_of(home, index_path)
    assert [row[name] for name in GIT] == ["abc", None, "https://host.invalid/x.git"]
    assert row["memory_mode"] == "disabled"
    assert codes(verified(home, index_path)) == {}
    asyncio.run(reindex(home, index_path))
    assert {**row_of(home, index_path), "row_id": 0} == {**row, "row_id": 0}
    index_path.unlink()
    assert {**row_of(home, index_path), "row_id": 0} == {**row, "row_id": 0}
    assert file.read_bytes().startswith(before)
    assert (file.read_bytes() == before) == (mode == "paginated" and not grown)
    assert b"secret" not in file.read_bytes() + journal_bytes(index_path)


def journal_bytes(index: Path) -> bytes:
    return journal_path(index).read_bytes() if journal_path(index).exists() else b""


def test_values_that_are_taken_back_leave_what_the_file_says(home: Path, index_path: Path) -> None:
    thread(home, "paginated", git={"commit_hash": "old"}, memory_mode="enabled")
    worked(home, index_path, set_all)
    facts, _ = asyncio.run(known_user_data(index_path))
    later = [
        UserValue(fact.thread_id, fact.key, None, fact.set_at_ms + 1)
        for fact in facts
        if isinstance(fact, UserValue)
    ]
    worked(home, index_path, lambda index: restore(index.database, home, later))
    row = row_of(home, index_path)
    assert (row["git_sha"], row["git_branch"], row["memory_mode"]) == ("old", None, "enabled")
    assert codes(verified(home, index_path)) == {}


def test_a_provider_that_a_thread_does_not_name_is_not_written(
    home: Path, index_path: Path
) -> None:
    lines = [meta(history_mode="legacy"), user("ask")]
    del lines[0]["payload"]["model_provider"]
    file = home / write_rollout(home, lines)
    (home / "config.toml").write_text('model_provider = "mine"\n')
    worked(home, index_path, lambda index: set_memory_mode(index, THREAD_ID, "disabled"))
    assert "model_provider" not in json.loads(file.read_bytes().splitlines()[-1])["payload"]
    assert row_of(home, index_path)["model_provider"] == "mine"


def test_a_legacy_line_changes_nothing_else(home: Path, index_path: Path) -> None:
    settings = {"cwd": "/elsewhere", "model_provider_id": "other"}
    applied = {"type": "thread_settings_applied", "thread_settings": settings}
    lines = [
        meta(history_mode="legacy", new_field={"a": [1]}, git={"branch": "b", "odd": 1}),
        user("ask"),
        {"timestamp": "t", "type": "event_msg", "payload": applied},
    ]
    file = home / write_rollout(home, lines)
    before = row_of(home, index_path)
    worked(home, index_path, lambda index: set_memory_mode(index, THREAD_ID, "disabled"))
    row = row_of(home, index_path)
    changed = {name for name in row if row[name] != before[name]}
    derived = {"updated_at_ms", "recency_at_ms", "size_bytes", "mtime_ns"}
    derived |= {"updated_at", "recency_at"}
    assert changed - derived == {"memory_mode", "files"}
    added = json.loads(file.read_bytes().splitlines()[-1])
    assert added["type"] == "session_meta"
    assert added["payload"] == {
        **lines[0]["payload"],
        "memory_mode": "disabled",
        "cwd": "/elsewhere",
        "model_provider": "other",
    }
    assert not list(home.rglob("*.lock")) or not list(home.glob(f"*/{THREAD_ID}.lock"))


def test_a_torn_line_is_ended_and_a_compressed_file_made_plain(
    home: Path, index_path: Path
) -> None:
    data = content(meta(), user("ask")) + b'{"timestamp":"x","ty'
    write_rollout(home, data, rollout_path() + ".zst")
    worked(home, index_path, lambda index: set_git_info(index, THREAD_ID, {"branch": "b"}))
    plain = home / rollout_path()
    assert plain.read_bytes().startswith(data + b"\n{")
    assert [path.name for path in plain.parent.iterdir()] == [plain.name]
    row = row_of(home, index_path)
    assert (row["git_branch"], row["rollout_path"]) == ("b", rollout_path())
    assert set(codes(verified(home, index_path))) == {"damaged_lines"}


@pytest.mark.parametrize("mode", ["legacy", "paginated"])
def test_a_thread_that_somebody_writes(home: Path, index_path: Path, mode: str) -> None:
    file = thread(home, mode)
    before = file.read_bytes()
    with WriterLock.acquire(home, THREAD_ID):
        name_it(home, index_path, "a name")  # is no matter of the rollout
        if mode == "paginated":
            worked(home, index_path, set_all)
            assert row_of(home, index_path)["git_sha"] == "abc"
        else:
            with pytest.raises(WriterActive):
                worked(home, index_path, set_all)
    assert file.read_bytes() == before


def test_what_is_refused_changes_nothing(home: Path, index_path: Path) -> None:
    file = thread(home, archived=True)
    before = file.read_bytes()
    with pytest.raises(ThreadArchived):
        name_it(home, index_path, "a")
    with pytest.raises(ThreadArchived):
        worked(home, index_path, lambda index: set_memory_mode(index, THREAD_ID, "disabled"))
    nothing: list[dict[str, str | None]] = [{}, {"branch": " "}, {"sha": ""}]
    for changes in nothing:
        work = partial(set_git_info, reference=THREAD_ID, changes=changes)
        with pytest.raises(InvalidChange):
            worked(home, index_path, work)
    with pytest.raises(InvalidChange):
        worked(home, index_path, lambda index: set_memory_mode(index, THREAD_ID, "odd"))
    assert file.read_bytes() == before
    assert journal_bytes(index_path) == b""
    assert not (home / NAMES_FILE).exists()
    # Git facts of archived threads can be set, as in Codex.
    worked(home, index_path, lambda index: set_git_info(index, THREAD_ID, {"sha": "abc"}))
    assert row_of(home, index_path)["git_sha"] == "abc"
    assert row_of(home, index_path)["archived"] == 1


def test_unknown_histories_and_files_without_metadata_are_refused(
    home: Path, index_path: Path
) -> None:
    file = thread(home, "lunar")
    with pytest.raises(UnsupportedHistory):
        worked(home, index_path, set_all)
    write_rollout(home, content(user("ask")))
    with pytest.raises(NotAppendable):
        worked(home, index_path, set_all)
    assert file.read_bytes() == content(user("ask"))


def test_codex_s_own_database_changes_in_one_row(
    corpus_home: Path, tmp_path: Path, index_path: Path
) -> None:
    home = shutil.copytree(corpus_home, tmp_path / "home")
    codex = Codex.of(home, home)
    before = codex.threads()
    ids = {
        mode: next(i for i, row in before.items() if (row["history_mode"], row["archived"]) == mode)
        for mode in (("legacy", 0), ("paginated", 0))
    }

    async def work(index: ThreadIndex) -> None:
        for id_ in ids.values():
            assert (await set_name(index, id_, "new"))[0].codex_error is None
            assert (await set_memory_mode(index, id_, "disabled")).codex_error is None
            changed, _ = await set_git_info(index, id_, {"sha": "abc", "branch": None})
            assert changed.codex_error is None

    worked(home, index_path, work)
    set_ = {"memory_mode": "disabled", "git_sha": "abc", "git_branch": None}
    before[ids["legacy", 0]] |= {"title": "new", **set_}
    before[ids["paginated", 0]] |= {"name": "new", **set_}
    assert codex.threads() == before


@pytest.mark.parametrize("place", ["a\\u0000b", "none", "~nobody/x", "config.toml"])
def test_a_place_without_a_database_of_codex_needs_nothing(
    home: Path, index_path: Path, place: str
) -> None:
    thread(home)
    (home / "config.toml").write_text(f'sqlite_home = "{place}"\n', "utf-8")
    assert name_it(home, index_path, "new") is None
    assert row_of(home, index_path)["name"] == "new"


@pytest.mark.parametrize("mode", ["legacy", "paginated"])
def test_codex_is_notified_of_a_change_whose_caller_is_cancelled(
    home: Path, index_path: Path, mode: str
) -> None:
    codex = Codex.empty(home)
    codex.insert(THREAD_ID, thread(home, mode), history_mode=mode)

    async def work(index: ThreadIndex) -> None:
        changes: list[Coroutine[Any, Any, object]] = [
            set_name(index, THREAD_ID, "new"),
            set_git_info(index, THREAD_ID, {"sha": "abc"}),
            set_memory_mode(index, THREAD_ID, "disabled"),
        ]
        for change in changes:
            before = files_of(home, index_path)
            task = asyncio.create_task(change)
            while files_of(home, index_path) == before:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    worked(home, index_path, work)
    (row,) = codex.threads().values()
    column = {"legacy": "title", "paginated": "name"}[mode]
    assert (row[column], row["git_sha"], row["memory_mode"]) == ("new", "abc", "disabled")


def files_of(home: Path, index_path: Path) -> list[int]:
    """The sizes of the files that changes are written to."""
    files = [home / NAMES_FILE, home / rollout_path(), journal_path(index_path)]
    return [file.stat().st_size if file.exists() else 0 for file in files]


@pytest.mark.usefixtures("impatient")
def test_a_database_that_is_not_known_or_is_held_is_left_and_told(
    corpus_home: Path, tmp_path: Path, index_path: Path
) -> None:
    home = shutil.copytree(corpus_home, tmp_path / "home")
    codex = Codex.of(home, home)
    id_ = next(i for i, row in codex.threads().items() if not row["archived"])

    def codex_error() -> StateError | None:
        return worked(home, index_path, lambda index: set_name(index, id_, "new"))[0].codex_error

    with closing(sqlite3.connect(codex.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        before = codex.content()
        assert isinstance(codex_error(), CodexLocked)
    codex.change("ALTER TABLE threads ADD COLUMN news TEXT")
    before = codex.content()
    assert "threads has NEWS TEXT" in str(codex_error())
    assert codex.content() == before
    codex.path.write_bytes(b"garbage, not a database" * 100)
    told = codex_error()
    assert isinstance(told, CodexUnusable)
    assert "not a database" in str(told)
    codex.path.unlink()
    codex.path.mkdir()
    assert isinstance(codex_error(), CodexUnusable)
    codex.path.rmdir()
    codex.path.touch()  # Codex takes it for none
    assert codex_error() is None
    assert read_names(home)[id_].name == "new"
