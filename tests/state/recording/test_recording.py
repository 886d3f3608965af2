"""Threads recorded through the store: what is in their files, and when."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard

from rollout.errors import DamagedCompression, NotAppendable, WriterActive
from rollout.files.layout import parse_name
from rollout.files.writer_lock import LOCKS, WriterLock
from rollout.schema.modes import LEGACY, MODES, PAGINATED
from state.errors import (
    RecorderClosed,
    ThreadArchived,
    ThreadExists,
    ThreadNotFound,
    UnsupportedHistory,
)
from state.thread_store import ThreadStore
from tests.samples.homes import encoded, lines, thread_id, write
from tests.samples.talk import event, message, new_thread, said, turn
from tests.state.recording.recorded import Use, numbered, numbers, recorded_lines, rollouts


@pytest.mark.parametrize("mode", MODES)
def test_a_runtime_goes_on_with_what_was_not_rolled_back_since_the_compaction(
    mode: str, use: Use
) -> None:
    def texts(items: Iterator[dict[str, Any]]) -> list[str]:
        return [item["content"][0]["text"] for item in items]

    async def work(store: ThreadStore) -> None:
        id_ = await store.create_thread(new_thread(mode))
        await store.append_items(id_, turn(mode, id_, 1, "first", "answer 1"))
        kept = [message("user", "what was said")["payload"]]
        compacted = {"message": "", "replacement_history": kept}
        await store.append_items(id_, [{"type": "compacted", "payload": compacted}])
        await store.append_items(id_, turn(mode, id_, 2, "second", "answer 2"))
        since = ["what was said", "second", "answer 2"]
        assert await store.with_context(id_, texts) == since
        await store.append_items(id_, turn(mode, id_, 3, "wrong", "answer 3"))
        assert await store.with_context(id_, texts) == [*since, "wrong", "answer 3"]
        await store.append_items(id_, [event("thread_rolled_back", num_turns=1)])
        await store.shutdown_thread(id_)
        assert await store.with_context(id_, texts) == since
        with pytest.raises(ThreadNotFound):
            await store.with_context(thread_id(9), list)

    use(work)


@pytest.mark.parametrize("mode", MODES)
def test_the_file_appears_with_the_first_message_of_a_user(mode: str, home: Path, use: Use) -> None:
    async def work(store: ThreadStore) -> str:
        id_ = await store.create_thread(
            new_thread(mode, source="exec", base_instructions={"text": "be"})
        )
        await store.append_items(id_, [event("task_started", turn_id="t"), message("user", "hi")])
        await store.append_items(id_, [event("warning", message="not kept")])
        await store.flush_thread(id_)
        assert rollouts(home) == {}
        assert [item["type"] for _, item in (await store.load_history(id_)).items()] == [
            "session_meta",
            "event_msg",
            "response_item",
        ]
        await store.append_items(id_, [said(mode, id_, "t", "hi")])
        await store.flush_thread(id_)
        assert len(recorded_lines(home)) == 4
        await store.append_items(id_, numbered(0, 3))
        await store.flush_thread(id_, durable=True)
        assert numbers([item for _, item in (await store.load_history(id_)).items()]) == [0, 1, 2]
        assert store.live == [id_]
        return id_

    id_ = use(work)
    found = recorded_lines(home)
    meta = found[0]["payload"]
    assert (meta["id"], meta["session_id"], meta["history_mode"]) == (id_, id_, mode)
    assert (meta["source"], meta["base_instructions"]) == ("exec", {"text": "be"})
    assert "git" not in meta
    kinds = [line["payload"].get("type", line["type"]) for line in found]
    last = "user_message" if mode == LEGACY else "item_completed"
    assert kinds[:4] == ["session_meta", "task_started", "message", last]
    assert numbers(found) == [0, 1, 2]
    if mode == PAGINATED:
        assert [line["ordinal"] for line in found] == list(range(7))
        assert list(found[0]) == ["timestamp", "ordinal", "type", "payload"]
    else:
        assert list(found[0]) == ["timestamp", "type", "payload"]
    (path,) = rollouts(home)
    name = parse_name(path)
    assert name
    assert name.thread_id == id_
    assert name.started_at
    year, month, day = name.started_at[:10].split("-")
    assert path.startswith(f"sessions/{year}/{month}/{day}/")


def test_a_thread_that_is_closed_before_its_first_message_leaves_no_trace(
    home: Path, use: Use
) -> None:
    async def work(store: ThreadStore) -> None:
        for end in (store.shutdown_thread, store.discard_thread):
            id_ = await store.create_thread(new_thread())
            await store.append_items(id_, numbered(0, 5))
            await end(id_)
            assert store.live == []
            with pytest.raises(RecorderClosed):
                await store.append_items(id_, [])
        id_ = await store.create_thread(new_thread())
        await store.append_items(id_, numbered(0, 5))

    use(work)
    assert rollouts(home) == {}
    assert [file.name for file in (home / LOCKS).iterdir()] == [".coordination.lock"]


def test_a_thread_may_be_closed_by_several_and_be_live_again(home: Path, use: Use) -> None:
    write(home, 1)

    async def work(store: ThreadStore) -> None:
        for first in range(5):
            await store.resume_thread(thread_id(1))
            await store.append_items(thread_id(1), numbered(first, 1))
            closing = [store.shutdown_thread(thread_id(1)) for _ in range(3)]
            for ended in await asyncio.gather(*closing, return_exceptions=True):
                assert ended is None or isinstance(ended, RecorderClosed)
            assert store.live == []

    use(work)
    assert numbers(recorded_lines(home)) == [0, 1, 2, 3, 4]


def test_persisting_makes_the_file_without_a_message(home: Path, use: Use) -> None:
    async def work(store: ThreadStore) -> None:
        id_ = await store.create_thread(new_thread())
        await store.append_items(id_, numbered(0, 2))
        await store.persist_thread(id_)
        assert numbers(recorded_lines(home)) == [0, 1]
        await store.discard_thread(id_)

    use(work)


@pytest.mark.parametrize("mode", MODES)
def test_a_resumed_thread_goes_on_after_a_torn_tail(mode: str, home: Path, use: Use) -> None:
    async def begin(store: ThreadStore) -> str:
        id_ = await store.create_thread(new_thread(mode))
        await store.append_items(id_, turn(mode, id_, 1, "hi", "ho"))
        return id_

    id_ = use(begin)
    (path,) = rollouts(home)
    before = (home / path).read_bytes() + b'{"timestamp":"x","ordinal":99,"ty'
    (home / path).write_bytes(before)

    async def resume(store: ThreadStore) -> list[dict[str, Any]]:
        source = await store.resume_thread(id_)
        assert rollouts(home) == {path: before}, "resuming by itself writes nothing"
        count = len(list(source.items()))
        await store.append_items(id_, numbered(0, 2))
        await store.flush_thread(id_)
        assert len(list(source.items())) == count + 2
        assert source is await store.load_history(id_)
        return [item for _, item in source.items()]

    items = use(resume)
    assert (home / path).read_bytes().startswith(before + b"\n")
    assert numbers(items) == [0, 1]
    ordinals = [item.get("ordinal") for item in items]
    assert ordinals == (list(range(9)) if mode == PAGINATED else [None] * 9)


def test_a_compressed_thread_is_made_plain_before_it_is_written(home: Path, use: Use) -> None:
    content = encoded(lines(1))
    plain = write(home, 1, content)
    plain.with_name(plain.name + ".zst").write_bytes(zstandard.ZstdCompressor().compress(content))
    plain.unlink()

    async def work(store: ThreadStore) -> None:
        with closing(await store.load_history(thread_id(1))) as source:
            assert len(list(source.items())) == 4
        await store.index.catch_up()
        await store.resume_thread(thread_id(1))
        await store.append_items(thread_id(1), numbered(0, 1))
        await store.flush_thread(thread_id(1))
        row = await store.read_thread(thread_id(1))
        assert row["rollout_path"] == str(plain.relative_to(home))
        assert row["size_bytes"] == plain.stat().st_size

    use(work)
    assert list(rollouts(home)) == [str(plain.relative_to(home))]
    assert plain.read_bytes().startswith(content)
    assert numbers(recorded_lines(home)) == [0]


def test_the_newest_segment_is_written_whatever_the_index_knows(home: Path, use: Use) -> None:
    write(home, 1)

    async def work(store: ThreadStore) -> None:
        await store.index.catch_up()
        newest = write(home, 1, segment=1)
        before = newest.read_bytes()
        await store.resume_thread(thread_id(1))
        await store.append_items(thread_id(1), numbered(0, 1))
        await store.flush_thread(thread_id(1))
        assert newest.read_bytes().startswith(before)
        assert newest.stat().st_size > len(before)

    use(work)


def paginated(*payloads: dict[str, Any]) -> bytes:
    """Lines after the ``session_meta`` of a paginated thread 1, the first with no ordinal."""
    meta, *_ = lines(1, history_mode="paginated")
    return encoded([{**meta, "ordinal": 0}, *payloads])


REFUSALS: list[tuple[bytes, type[Exception]]] = [
    (encoded(lines(1, history_mode="of_tomorrow")), UnsupportedHistory),
    (encoded(lines(1, history_mode=None)), UnsupportedHistory),
    (encoded(lines(1, id=thread_id(7))), NotAppendable),
    (encoded(lines(1)[1:]), NotAppendable),
    (paginated({"type": "event_msg", "payload": {}}), NotAppendable),
    (b"\0" * 100, NotAppendable),
    (b"", NotAppendable),
]


@pytest.mark.parametrize(("content", "error"), REFUSALS)
@pytest.mark.parametrize("packed", [False, True])
def test_what_cannot_be_gone_on_with_is_refused_and_left_as_it_is(
    content: bytes, error: type[Exception], packed: bool, home: Path, use: Use
) -> None:
    path = write(home, 1, content)
    if packed:
        data = zstandard.ZstdCompressor().compress(content) if content else b""
        path.with_name(path.name + ".zst").write_bytes(data)
        path.unlink()
    before = rollouts(home)

    async def work(store: ThreadStore) -> None:
        with pytest.raises(DamagedCompression if packed and not content else error):
            await store.resume_thread(thread_id(1))
        assert store.live == []

    use(work)
    assert rollouts(home) == before
    WriterLock.acquire(home, thread_id(1)).release()


def test_archived_live_and_unknown_threads_are_refused(home: Path, use: Use) -> None:
    write(home, 1, archived=True)
    write(home, 2)
    write(home, 3)

    async def work(store: ThreadStore) -> None:
        with pytest.raises(ThreadArchived):
            await store.resume_thread(thread_id(1))
        with closing(await store.load_history(thread_id(1))) as source:
            assert len(list(source.items())) == 4
        for reference in (thread_id(9), "", "../x", thread_id(2)[:20]):
            with pytest.raises(ThreadNotFound):
                await store.resume_thread(reference)
            with pytest.raises(ThreadNotFound):
                await store.load_history(reference)
        await store.resume_thread(thread_id(2))
        with pytest.raises(WriterActive, match="this process"):
            await store.resume_thread(thread_id(2))
        with WriterLock.acquire(home, thread_id(3)), pytest.raises(WriterActive):
            await store.resume_thread(thread_id(3))
        await store.index.catch_up()
        with pytest.raises(ThreadExists):
            await store.create_thread(new_thread(id=thread_id(2)))
        assert store.live == [thread_id(2)]

    before = rollouts(home)
    use(work)
    assert rollouts(home) == before


def test_a_thread_that_no_reader_could_use_is_not_begun() -> None:
    base = {"thread_id": thread_id(1), "end_ordinal_exclusive": 1}
    wrong: list[dict[str, Any]] = [
        *({"id": "x"}, {"id": thread_id(1).upper()}, {"cwd": "relative"}, {"cwd": "/a\0b"}),
        *({"mode": "of_tomorrow"}, {"source": 5}, {"originator": None}, {"cli_version": None}),
        *({"parent_thread_id": "../x"}, {"session_id": "y"}, {"dynamic_tools": "x"}),
        *({"history_base": {"x": 1}}, {"history_base": base}, {"cwd": "/w\ud800"}),
        *({"model_provider": 5}, {"cwd": Path("/w")}),
    ]
    for fields in wrong:
        with pytest.raises(ValueError, match=next(iter(fields))):
            new_thread(**fields)


def test_many_writers_of_one_thread_keep_their_order(home: Path, use: Use) -> None:
    async def work(store: ThreadStore) -> None:
        id_ = await store.create_thread(new_thread())
        await store.persist_thread(id_)

        async def one(first: int) -> None:
            for n in range(first, first + 100, 2):
                await store.append_items(id_, numbered(n, 2))
                if n % 7 == 0:
                    await store.flush_thread(id_)

        await asyncio.gather(*(one(first) for first in range(0, 2000, 100)))

    use(work)
    found = recorded_lines(home)
    assert [line["ordinal"] for line in found] == list(range(2001))
    assert sorted(numbers(found)) == list(range(2000))
    for first in range(0, 2000, 100):
        mine = [n for n in numbers(found) if first <= n < first + 100]
        assert mine == sorted(mine)
