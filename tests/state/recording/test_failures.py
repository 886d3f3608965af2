"""A recorder that cannot write, or is cancelled: nothing is lost, and nobody is held up."""

import asyncio
from pathlib import Path

import pytest

from rollout.errors import HomeNotFound, NotAppendable
from rollout.files.writer_lock import LOCKS, WriterLock
from rollout.jsonl.parse import Item
from state.errors import (
    FileUnusable,
    RecorderFailed,
)
from state.thread_store import ThreadStore, open_store
from tests.rollout.writing.test_appender import no_file_beyond
from tests.samples.homes import encoded, lines, thread_id, write
from tests.samples.talk import new_thread
from tests.state.recording.recorded import Use, numbered, numbers, recorded_lines, rollouts


def test_a_home_that_is_not_there_or_cannot_take_locks(tmp_path: Path, index_path: Path) -> None:
    async def work(home: Path) -> None:
        async with open_store(home, index_path) as store:
            await store.create_thread(new_thread())

    with pytest.raises(HomeNotFound):
        asyncio.run(work(tmp_path / "nowhere"))
    (tmp_path / LOCKS).write_text("")
    with pytest.raises(FileUnusable, match=LOCKS):
        asyncio.run(work(tmp_path))


def test_an_item_that_is_no_json_is_refused_and_the_others_with_it(home: Path, use: Use) -> None:
    async def work(store: ThreadStore) -> None:
        id_ = await store.create_thread(new_thread())
        bad: Item = {"type": "response_item", "payload": {"n": {1, 2}}}
        for _ in range(2):
            with pytest.raises(NotAppendable):
                await store.append_items(id_, [*numbered(0, 1), bad])
            await store.persist_thread(id_)
        await store.append_items(id_, numbered(5, 1))

    use(work)
    assert numbers(recorded_lines(home)) == [5]


def test_a_full_disk_keeps_what_waits_and_writing_goes_on(home: Path, use: Use) -> None:
    async def work(store: ThreadStore) -> None:
        id_ = await store.create_thread(new_thread())
        await store.append_items(id_, numbered(0, 5))
        await store.persist_thread(id_)
        (path,) = rollouts(home)
        with no_file_beyond((home / path).stat().st_size + 150):
            for first in (5, 10):
                await store.append_items(id_, numbered(first, 5))
                with pytest.raises(RecorderFailed, match="File too large"):
                    await store.flush_thread(id_)
            with pytest.raises(RecorderFailed):
                await store.shutdown_thread(id_)
            assert store.live == [id_]
        await store.append_items(id_, numbered(15, 5))
        await store.flush_thread(id_)
        assert numbers(recorded_lines(home)) == list(range(20))
        assert numbers([item for _, item in (await store.load_history(id_)).items()]) == list(
            range(20)
        )

    use(work)
    assert [line["ordinal"] for line in recorded_lines(home)] == list(range(21))


def test_what_cannot_be_written_at_the_end_is_reported_and_holds_nobody_up(
    home: Path, index_path: Path
) -> None:
    async def work() -> None:
        async with open_store(home, index_path) as store:
            ids = [await store.create_thread(new_thread()) for _ in range(3)]
            for id_ in ids:
                await store.persist_thread(id_)
                await store.append_items(id_, numbered(0, 5))
                await store.flush_thread(id_)
            (home / next(path for path in rollouts(home) if ids[1] in path)).unlink()
            for id_ in ids:
                await store.append_items(id_, numbered(5, 5))

    with pytest.raises(RecorderFailed, match="moved or removed"):
        asyncio.run(work())
    assert [content.count(b'"n"') for content in rollouts(home).values()] == [10, 10]
    assert [file.name for file in (home / LOCKS).iterdir()] == [".coordination.lock"]


def test_cancelling_writes_what_waits_and_frees_the_thread(home: Path, index_path: Path) -> None:
    async def work(begun: asyncio.Event) -> None:
        async with open_store(home, index_path) as store:
            id_ = await store.create_thread(new_thread(id=thread_id(1)))
            await store.persist_thread(id_)
            await store.append_items(id_, numbered(0, 50))
            begun.set()
            await asyncio.Event().wait()

    async def cancelled() -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(work(begun))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert numbers(recorded_lines(home)) == list(range(50))
    WriterLock.acquire(home, thread_id(1)).release()


def test_cancelling_a_resume_leaves_no_lock(home: Path, use: Use) -> None:
    write(home, 1)

    async def work(store: ThreadStore) -> None:
        for turns in range(12):  # of the loop, so that it is met at every place
            task = asyncio.create_task(store.resume_thread(thread_id(1)))
            for _ in range(turns):
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.wait({task})
            if task.cancelled():
                assert store.live == []
            else:
                await store.discard_thread(thread_id(1))
            WriterLock.acquire(home, thread_id(1)).release()

    use(work)


def test_lines_that_codex_adds_to_a_live_legacy_thread_are_seen(home: Path, use: Use) -> None:
    path = write(home, 1)

    async def work(store: ThreadStore) -> None:
        source = await store.resume_thread(thread_id(1))
        await store.append_items(thread_id(1), numbered(0, 2))
        await store.flush_thread(thread_id(1))
        with path.open("ab") as file:  # thread/memoryMode/set
            file.write(encoded(lines(1, memory_mode="disabled")[:1]))
        await store.append_items(thread_id(1), numbered(2, 2))
        await store.flush_thread(thread_id(1))
        kinds = [item["type"] for _, item in source.items()]
        assert kinds[-5:] == ["response_item"] * 2 + ["session_meta"] + ["response_item"] * 2

    use(work)
    assert numbers(recorded_lines(home)) == [0, 1, 2, 3]
