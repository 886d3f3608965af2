"""What the store does with whole threads, while they are live and when they are not."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rollout.errors import HistoryIncomplete, NotAppendable, WriterActive
from rollout.files.layout import parse_name
from rollout.files.writer_lock import LOCKS, WriterLock
from rollout.jsonl.sources import session_meta
from rollout.metadata.session_index import append_name
from rollout.schema.modes import LEGACY, MODES, PAGINATED
from state.errors import (
    AlreadyArchived,
    HasDependents,
    IndexBusy,
    NotArchived,
    RecorderClosed,
    RecorderFailed,
    ThreadArchived,
    ThreadNotFound,
)
from state.query.model import Query
from state.thread_store import ThreadStore
from state.userdata.journal import read_settings
from state.userdata.model import UserValue, newest_settings
from tests.rollout.writing.test_appender import no_file_beyond
from tests.samples.homes import encoded, lines, thread_id, write
from tests.samples.talk import new_thread, turn
from tests.state.recording.recorded import Use, numbered, numbers, recorded_lines, rollouts
from tests.support.checks import codes, verified


async def begun(store: ThreadStore, mode: str = PAGINATED, **fields: Any) -> str:
    """A live thread of one turn."""
    id_ = await store.create_thread(new_thread(mode, **fields))
    await store.append_items(id_, turn(mode, id_, 1, "question", "answer"))
    return id_


def child_of(parent: str, depth: int = 1) -> dict[str, Any]:
    """The source of a thread that another one has spawned."""
    return {"subagent": {"thread_spawn": {"parent_thread_id": parent, "depth": depth}}}


def locks(home: Path) -> set[str]:
    """The threads whose lock files are there."""
    return {file.stem for file in (home / LOCKS).glob("*-*.lock")}


@pytest.mark.parametrize("mode", MODES)
def test_what_is_set_of_a_live_thread_is_so_and_it_goes_on(
    mode: str, home: Path, index_path: Path, use: Use
) -> None:
    async def work(store: ThreadStore) -> None:
        await store.index.catch_up()
        id_ = await store.create_thread(new_thread(mode))
        await store.set_thread_name(id_, "  of mine ")
        await store.append_items(id_, turn(mode, id_, 1, "question", "answer"))
        await asyncio.gather(
            store.set_memory_mode(id_, "disabled"),
            store.update_thread_metadata(id_, {"branch": "b", "origin": "https://me:pw@x.y/z"}),
            store.append_items(id_, numbered(0, 3)),
        )
        await store.update_thread_metadata(id_, {"sha": "abc", "branch": None})
        await store.append_items(id_, numbered(3, 3))
        row = await store.read_thread(id_)
        assert row["name"] == "of mine"
        assert row["preview"] == "question"
        git = (row["git_sha"], row["git_branch"], row["git_origin_url"])
        assert git == ("abc", None, "https://x.y/z")
        assert (await store.index.details(id_))["memory_mode"] == "disabled"
        assert store.live == [id_]

    use(work)
    assert numbers(recorded_lines(home)) == list(range(6))
    metas = [line for line in recorded_lines(home) if line["type"] == "session_meta"]
    if mode == PAGINATED:
        assert len(metas) == 1
        assert [line["ordinal"] for line in recorded_lines(home)] == list(range(13))
        facts = newest_settings(read_settings(index_path)).values()
        assert {fact.key for fact in facts if isinstance(fact, UserValue)} == {
            *("memory_mode", "git_sha", "git_branch", "git_origin_url")
        }
    else:
        assert len(metas) == 4
        last = metas[-1]["payload"]
        assert last["memory_mode"] == "disabled"
        assert last["git"] == {"commit_hash": "abc", "repository_url": "https://x.y/z"}
    assert codes(verified(home, index_path)) == {}


@pytest.mark.parametrize("mode", MODES)
def test_a_live_thread_forks_and_goes_on(mode: str, home: Path, use: Use) -> None:
    async def work(store: ThreadStore) -> None:
        id_ = await begun(store, mode)
        await store.append_items(id_, turn(mode, id_, 2, "second", "answer"))
        fork = await store.fork_thread(
            id_, last_turn="01a14000-0000-7000-8000-000000000001", source="vscode"
        )
        await store.append_items(id_, numbered(0, 2))
        await store.resume_thread(fork)
        await store.append_items(fork, turn(mode, fork, 3, "other", "answer"))
        await store.shutdown_thread(fork)
        row = await store.read_thread(fork)
        assert (row["forked_from_id"], row["source"]) == (id_, "vscode")
        assert {row["id"] for row in (await store.list_threads(Query())).rows} == {id_, fork}
        with pytest.raises(HasDependents) if mode == PAGINATED else pytest.raises(AlreadyArchived):
            if mode == PAGINATED:
                await store.delete_thread(id_)
            else:
                await store.archive_thread(fork)
                await store.archive_thread(fork)
        assert store.live == [id_], "what is refused goes on being recorded"
        await store.append_items(id_, numbered(2, 2))

    use(work)
    source, fork = sorted(map(bytes.splitlines, rollouts(home).values()), key=len, reverse=True)
    if mode == LEGACY:
        source, fork = sorted((source, fork), key=lambda found: b'"n":3' not in found[-1])
    told = [json.loads(line) for line in source]
    assert numbers(told) == [0, 1, 2, 3]
    assert b"other" in b"".join(fork)
    assert b"second" not in b"".join(fork)


def test_a_live_thread_and_its_descendants_go_to_the_archive_and_to_the_trash(
    home: Path, index_path: Path, use: Use
) -> None:
    async def work(store: ThreadStore) -> None:
        await store.index.catch_up()
        parent = await begun(store)
        child = await begun(store, source=child_of(parent))
        other = await begun(store)
        empty = await store.create_thread(new_thread())
        await store.append_items(empty, numbered(0, 3))
        assert sorted(await store.archive_thread(parent)) == sorted([parent, child])
        assert await store.archive_thread(empty) == [empty], "it gets a file for that"
        assert store.live == [other]
        assert locks(home) == {other}
        with pytest.raises(AlreadyArchived):
            await store.archive_thread(parent)
        with pytest.raises(NotArchived):
            await store.unarchive_thread(other)
        with pytest.raises(ThreadArchived):
            await store.set_thread_name(parent, "x")
        with pytest.raises(ThreadArchived):
            await store.fork_thread(parent)
        assert sorted(await store.unarchive_thread(parent)) == sorted([parent, child])
        await store.resume_thread(parent)
        await store.append_items(parent, numbered(0, 1))
        assert sorted(await store.delete_thread(parent)) == sorted([parent, child])
        assert await store.delete_thread(other, purge=True) == [other]
        assert store.live == []
        for id_ in (parent, other, thread_id(9)):
            with pytest.raises(ThreadNotFound):
                await store.delete_thread(id_)
        assert (await store.read_thread(empty))["archived"]

    use(work)
    assert locks(home) == set()
    (path,) = rollouts(home)
    assert path.startswith("archived_sessions/")
    trashed = [*(home / ".threadkeep-trash").rglob("rollout-*.jsonl")]
    assert sorted(path.read_bytes().count(b'"n"') for path in trashed) == [0, 1]
    assert codes(verified(home, index_path)) == {}


def test_a_move_that_is_refused_leaves_every_recorder_as_it_is(home: Path, use: Use) -> None:
    async def work(store: ThreadStore) -> None:
        parent = await begun(store)
        mine = await begun(store, source=child_of(parent))
        theirs = await begun(store, source=child_of(parent))
        await store.shutdown_thread(theirs)
        with WriterLock.acquire(home, theirs):
            for refused in (store.archive_thread, store.delete_thread):
                with pytest.raises(WriterActive):
                    await refused(parent)
        assert store.live == [parent, mine]
        for id_ in (parent, mine):
            await store.append_items(id_, numbered(0, 1))
            await store.flush_thread(id_)
        size = max(len(content) for content in rollouts(home).values())
        with no_file_beyond(size):
            await store.append_items(parent, numbered(1, 20))
            with pytest.raises(RecorderFailed):
                await store.archive_thread(parent)
            assert parent in store.live
        await store.flush_thread(parent)
        assert all(path.startswith("sessions/") for path in rollouts(home))
        assert len(await store.archive_thread(parent)) == 3

    use(work)
    counts = sorted(content.count(b'"n"') for content in rollouts(home).values())
    assert counts == [0, 1, 21]


def test_a_thread_that_the_index_has_not_come_to_is_found(home: Path, use: Use) -> None:
    write(home, 1)
    write(home, 2, encoded(lines(2, history_mode="paginated")))
    append_name(home, thread_id(2), "found")

    async def work(store: ThreadStore) -> None:
        assert (await store.list_threads(Query())).rows == []
        await store.set_memory_mode(thread_id(1), "disabled")
        assert (await store.read_thread(thread_id(2)))["id"] == thread_id(2)
        await store.set_thread_name(thread_id(2), "again")
        assert len((await store.list_threads(Query())).rows) == 2

    use(work)


@pytest.mark.usefixtures("impatient")
def test_a_held_index_is_reported_where_it_is_needed(
    home: Path, index_path: Path, use: Use
) -> None:
    async def work(store: ThreadStore) -> None:
        id_ = await store.create_thread(new_thread())
        with closing(sqlite3.connect(index_path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(IndexBusy):
                await store.set_thread_name(id_, "name")
            other.execute("ROLLBACK")
        assert not (home / "session_index.jsonl").exists()
        await store.set_thread_name(id_, "name")
        assert (await store.read_thread(id_))["name"] == "name"

    use(work)


def test_closing_and_archiving_at_once_leaves_one_place(home: Path, use: Use) -> None:
    async def work(store: ThreadStore) -> None:
        for round_ in range(10):
            id_ = await begun(store, id=thread_id(round_))
            await store.flush_thread(id_)

            async def closed(id_: str = id_, turns: int = round_) -> None:
                for _ in range(turns):
                    await asyncio.sleep(0.001)
                await store.discard_thread(id_)

            moved, _ = await asyncio.gather(
                store.archive_thread(id_), closed(), return_exceptions=True
            )
            assert moved == [id_]
            assert id_ not in store.live

    use(work)
    assert all(path.startswith("archived_sessions/") for path in rollouts(home))
    assert len({parse_name(path.split("/")[-1]) for path in rollouts(home)}) == 10


def test_what_is_no_id_is_refused_and_touches_nothing(tmp_path: Path, home: Path, use: Use) -> None:
    precious = tmp_path / "yarn.lock"
    precious.write_text("precious")
    ids: list[Any] = ["../../yarn", "/tmp/x", "", "..", None, 5, "\ud800"]

    async def work(store: ThreadStore) -> None:
        before = sorted(tmp_path.rglob("*"))
        calls = [store.resume_thread, store.load_history, store.read_thread, store.archive_thread]
        calls += [store.unarchive_thread, store.delete_thread, store.fork_thread]
        for id_ in ids:
            for call in calls:
                with pytest.raises(ThreadNotFound):
                    await call(id_)
            for change in (store.set_thread_name, store.set_memory_mode):
                with pytest.raises(ThreadNotFound):
                    await change(id_, "enabled")
            for live in (store.flush_thread, store.shutdown_thread, store.discard_thread):
                with pytest.raises(RecorderClosed):
                    await live(id_)
        assert sorted(tmp_path.rglob("*")) == before

    use(work)
    assert precious.read_text() == "precious"
    for id_ in ids:
        with pytest.raises(ValueError, match="no thread id"):
            WriterLock.acquire(home, id_)


def test_an_id_may_be_spelt_as_codex_takes_it(home: Path, use: Use) -> None:
    write(home, 1)

    async def work(store: ThreadStore) -> None:
        loud = thread_id(1).upper()
        await store.resume_thread(loud)
        await store.append_items(loud, numbered(0, 1))
        await store.set_thread_name(loud, "quiet")
        await store.shutdown_thread(loud)
        assert (await store.read_thread(loud))["name"] == "quiet"

    use(work)
    assert numbers(recorded_lines(home)) == [0]


def test_what_is_no_item_is_refused_with_all_beside_it(home: Path, use: Use) -> None:
    refused: list[Any] = [
        *({}, {"type": "event_msg"}, {"type": "event_msg", "payload": None}, None, "text", 5),
        *({"type": 5, "payload": {}}, {"type": "event_msg", "payload": []}, {"payload": {}}),
        {"type": "session_meta", "payload": {"id": "evil"}},
    ]

    async def work(store: ThreadStore) -> None:
        id_ = await begun(store)
        for number, item in enumerate(refused):
            with pytest.raises(NotAppendable):
                await store.append_items(id_, [*numbered(100, 1), item])
            await store.append_items(id_, numbered(number, 1))

    use(work)
    assert numbers(recorded_lines(home)) == list(range(len(refused)))
    assert len(recorded_lines(home)) == 7 + len(refused)


def test_a_fork_by_reference_holds_what_it_begins_with(
    home: Path, use: Use, tmp_path: Path
) -> None:
    async def work(store: ThreadStore) -> None:
        first = await begun(store)
        await store.append_items(first, turn(PAGINATED, first, 2, "two", "answer"))
        second = await store.fork_thread(first, last_turn=f"01a14000-0000-7000-8000-{1:012x}")
        await store.resume_thread(second)
        await store.append_items(second, turn(PAGINATED, second, 3, "three", "answer"))
        third = await store.fork_thread(second)
        await store.archive_thread(first)
        source = await store.resume_thread(third)
        begins = len(source)
        await store.append_items(third, numbered(0, 2))
        await store.flush_thread(third)
        assert source is await store.load_history(third)
        told = [*source.items()]
        assert [index for index, _ in told] == sorted(index for index, _ in told)
        assert told[::-1] == [*source.backwards()]
        assert [*source.items(3, begins)] == [one for one in told if 3 <= one[0] < begins]
        assert [*source.backwards(3, 9)] == [one for one in told[::-1] if 3 <= one[0] < 9]
        said = [item["payload"].get("item", {}).get("type") for _, item in told]
        assert said.count("UserMessage") == 2
        ordinals = [item["ordinal"] for _, item in told]
        assert ordinals == sorted(set(ordinals))
        metas = [item["payload"]["id"] for _, item in told if item["type"] == "session_meta"]
        assert metas == [third]
        source.enrich(git={"branch": "b"})
        assert session_meta(source)["payload"]["git"] == {"branch": "b"}  # type: ignore[index]
        await store.shutdown_thread(third)
        (base,) = (home / "sessions").rglob(f"*{second}*")
        base.rename(tmp_path / "away")
        for call in (store.resume_thread, store.load_history):
            with pytest.raises(HistoryIncomplete, match="not here"):
                await call(third)
        (tmp_path / "away").rename(base)
        with closing(await store.load_history(third)) as again:
            assert len(again) == begins + 2

    use(work)
