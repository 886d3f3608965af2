"""The index follows the recorders, and holds none of them up."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rollout.schema.modes import LEGACY, PAGINATED
from state.db.steps import select_steps
from state.errors import (
    IndexDamaged,
    StateError,
    ThreadNotFound,
)
from state.query.model import Query
from state.thread_store import ThreadStore
from tests.samples.talk import event, new_thread, turn
from tests.state.recording.recorded import Use, numbered, numbers, recorded_lines, rollouts


def test_the_index_follows_by_itself_and_answers_truly_when_asked(home: Path, use: Use) -> None:
    async def work(store: ThreadStore) -> None:
        id_ = await store.create_thread(new_thread(LEGACY))
        with pytest.raises(ThreadNotFound):
            await store.read_thread(id_)
        await store.append_items(id_, turn(LEGACY, id_, 1, "hello", "hi"))
        await store.flush_thread(id_)
        assert (await store.read_thread(id_))["preview"] == "hello"
        (row,) = (await store.list_threads(Query())).rows
        assert row["id"] == id_
        usage = {"total_token_usage": {"total_tokens": 77}}
        await store.append_items(id_, [event("token_count", info=usage)])
        while True:  # until the index has it, though nobody asks the store
            asked = select_steps("SELECT tokens_used FROM threads")
            if await store.index.database.query(asked) == [(77,)]:
                break
            await asyncio.sleep(0.02)
        assert store.index_error is None

    use(work)


def test_a_locked_index_holds_no_writer_up(home: Path, index_path: Path, use: Use) -> None:
    async def work(store: ThreadStore) -> str:
        with closing(sqlite3.connect(index_path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            id_ = await store.create_thread(new_thread(LEGACY))
            await store.append_items(id_, turn(LEGACY, id_, 1, "hello", "hi"))
            await store.flush_thread(id_)
            await store.shutdown_thread(id_)
            assert len(recorded_lines(home)) == 7
            await store.resume_thread(id_)
            other.execute("ROLLBACK")
        assert (await store.read_thread(id_))["preview"] == "hello"
        return id_

    use(work)


def test_a_broken_index_fails_no_writer_and_is_reported(
    home: Path, index_path: Path, use: Use
) -> None:
    async def work(store: ThreadStore) -> None:
        with closing(sqlite3.connect(index_path)) as other:
            other.execute("ALTER TABLE threads RENAME TO gone")
        id_ = await store.create_thread(new_thread())
        await store.append_items(id_, turn(PAGINATED, id_, 1, "hello", "hi"))
        await store.shutdown_thread(id_)
        await store.resume_thread(id_)
        with pytest.raises(StateError):
            await store.list_threads(Query())
        assert isinstance(store.index_error, IndexDamaged)
        await store.append_items(id_, numbered(0, 3))
        await store.flush_thread(id_)

    use(work)
    assert numbers(recorded_lines(home)) == [0, 1, 2]


def test_many_threads_may_be_live(home: Path, use: Use) -> None:
    async def work(store: ThreadStore) -> None:
        ids = [await store.create_thread(new_thread()) for _ in range(60)]
        for id_ in ids:
            await store.append_items(id_, turn(PAGINATED, id_, 1, "q", "a"))
        await asyncio.gather(*(store.flush_thread(id_) for id_ in ids))
        assert store.live == ids

    use(work)
    assert len(rollouts(home)) == 60
