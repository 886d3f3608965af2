"""What holds of every store of threads: the one of a home, and the one in memory."""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rollout.errors import NotAppendable, TurnNotFound, WriterActive
from rollout.schema.modes import LEGACY, MODES, PAGINATED
from state.errors import (
    AlreadyArchived,
    HasDependents,
    InvalidChange,
    InvalidCursor,
    InvalidName,
    NotArchived,
    RecorderClosed,
    ThreadArchived,
    ThreadExists,
    ThreadNotFound,
)
from state.memory.store import MemoryStore
from state.query.model import Query
from state.thread_store import ThreadStore
from state.turns.pages import ItemQuery, PageQuery
from tests.samples.homes import thread_id
from tests.samples.talk import event, message, new_thread, said, turn
from tests.state.memory.stores import Store, child_of, opened, questions, turn_id

Using = Callable[[Store], Awaitable[Any]]
Use = Callable[[Using], Any]
KINDS = ("files", "memory")
ONLY_OF_FILES = {"index", "home", "turns", "move_to", "holding"}


@pytest.fixture(params=KINDS)
def use(request: pytest.FixtureRequest, tmp_path: Path) -> Use:
    """Does something with a store."""

    def used(work: Using) -> Any:
        async def done() -> Any:
            async with opened(request.param, tmp_path) as store:
                return await work(store)

        return asyncio.run(done())

    return used


async def begun(store: Store, mode: str = PAGINATED, turns: int = 1, **fields: Any) -> str:
    """A live thread of some turns."""
    id_ = await store.create_thread(new_thread(mode, **fields))
    for number in range(1, turns + 1):
        question, answer = f"question {number}", f"answer {number}"
        await store.append_items(id_, turn(mode, id_, number, question, answer))
    await store.flush_thread(id_)
    return id_


async def listed(store: Store, **query: Any) -> list[str]:
    """The ids of a list."""
    return [row["id"] for row in (await store.list_threads(Query(**query))).rows]


def test_both_have_the_same_methods() -> None:
    def of(store: type) -> dict[str, str]:
        return {
            name: "property" if isinstance(each, property) else described(each)
            for name, each in inspect.getmembers(store)
            if not name.startswith("_")
        }

    def described(method: Callable[..., object]) -> str:
        """The signature; types have their last name, as some are only imported for checking."""
        return re.sub(r"'|\b(?:\w+\.)+", "", str(inspect.signature(method)))

    files, memory = of(ThreadStore), of(MemoryStore)
    assert memory == {name: each for name, each in files.items() if name not in ONLY_OF_FILES}


@pytest.mark.parametrize("mode", MODES)
def test_a_thread_is_recorded_read_and_listed(mode: str, use: Use) -> None:
    async def work(store: Store) -> None:
        id_ = await store.create_thread(new_thread(mode))
        await store.append_items(id_, [message("user", "context")])
        assert await listed(store) == []
        with pytest.raises(ThreadNotFound):
            await store.read_thread(id_)
        await store.append_items(id_, turn(mode, id_, 1, "question", "answer"))
        await store.append_items(id_, [event("warning", message="not kept")])
        await store.flush_thread(id_)
        assert (store.live, store.is_live(id_)) == ([id_], True)
        assert str(store.path_of(id_)).endswith(f"{id_}.jsonl")
        assert await listed(store) == [id_]
        row = await store.read_thread(id_)
        assert (row["preview"], row["history_mode"], row["cwd"]) == ("question", mode, "/work/demo")
        items = [item for _, item in (await store.load_history(id_)).items()]
        assert [item["type"] for item in items[:3]] == [
            "session_meta",
            "response_item",
            "event_msg",
        ]
        assert len(items) == 8
        ordinals = [item.get("ordinal") for item in items]
        assert ordinals == (list(range(8)) if mode == PAGINATED else [None] * 8)
        assert await questions(store, id_) == [["question", "answer"]]
        said_before = [item["role"] for item in await store.with_context(id_, list)]
        assert said_before == ["user", "user", "assistant"]
        assert await store.lists_items(id_) == (mode == PAGINATED)
        await store.shutdown_thread(id_)
        assert store.live == []
        for call in (store.flush_thread, store.shutdown_thread, store.persist_thread):
            with pytest.raises(RecorderClosed):
                await call(id_)

    use(work)


@pytest.mark.parametrize("mode", MODES)
def test_a_thread_goes_on_in_its_mode(mode: str, use: Use) -> None:
    async def work(store: Store) -> None:
        id_ = await begun(store, mode)
        with pytest.raises(WriterActive, match="this process"):
            await store.resume_thread(id_)
        await store.shutdown_thread(id_)
        await store.read_thread(id_)  # so that an index has it
        with pytest.raises(ThreadExists):
            await store.create_thread(new_thread(id=id_))
        source = await store.resume_thread(id_.upper())
        count = len(source)
        for other in MODES:  # what another mode keeps is passed over, and changes no mode
            await store.append_items(id_, [said(other, id_, turn_id(1), "more")])
        meta = {"type": "session_meta", "payload": {"id": id_, "history_mode": "legacy"}}
        with pytest.raises(NotAppendable):
            await store.append_items(id_, [meta])
        await store.flush_thread(id_)
        assert len(source) == count + 1
        row = await store.read_thread(id_)
        assert row["history_mode"] == mode
        with pytest.raises(InvalidChange):
            await store.update_thread_metadata(id_, {"history_mode": LEGACY})

    use(work)


@pytest.mark.parametrize("end", ["shutdown_thread", "discard_thread"])
def test_a_thread_without_a_message_leaves_no_trace(end: str, use: Use) -> None:
    async def work(store: Store) -> None:
        id_ = await store.create_thread(new_thread())
        await store.append_items(id_, [message("assistant", "hello")])
        await getattr(store, end)(id_)
        with pytest.raises(ThreadNotFound):
            await store.read_thread(id_)
        with pytest.raises(ThreadNotFound):
            await store.resume_thread(id_)
        again = await store.create_thread(new_thread(id=id_))
        await store.persist_thread(again)
        assert (await store.read_thread(id_))["preview"] == ""

    use(work)


@pytest.mark.parametrize("mode", MODES)
def test_a_fork_begins_as_its_source(mode: str, use: Use) -> None:
    async def work(store: Store) -> None:
        id_ = await begun(store, mode, turns=3)
        await store.set_thread_name(id_, " mine ")
        through = await store.fork_thread(id_, last_turn=turn_id(2), cwd="/elsewhere")
        before = await store.fork_thread(id_, before_turn=turn_id(2))
        of_fork = await store.fork_thread(through)
        with pytest.raises(TurnNotFound):
            await store.fork_thread(id_, last_turn="nothing")
        with pytest.raises(ValueError, match="one turn"):
            await store.fork_thread(id_, last_turn=turn_id(1), before_turn=turn_id(2))
        count = len(await listed(store))
        await store.fork_thread(id_, dry_run=True)
        assert len(await listed(store)) == count == 4
        first, second = ["question 1", "answer 1"], ["question 2", "answer 2"]
        assert await questions(store, through) == [first, second]
        assert await questions(store, before) == [first]
        row = await store.read_thread(through)
        assert (row["forked_from_id"], row["name"]) == (id_, "mine")
        for fork in (through, before, of_fork):
            assert (await store.read_thread(fork))["preview"] == "question 1"
        if mode == PAGINATED:
            assert row["cwd"] == "/elsewhere"
        source = await store.resume_thread(of_fork)
        await store.append_items(of_fork, turn(mode, of_fork, 9, "other", "yes"))
        await store.flush_thread(of_fork)
        assert await questions(store, of_fork) == [first, second, ["other", "yes"]]
        assert len(await questions(store, id_)) == 3
        told = [*source.items()]
        assert told[::-1] == [*source.backwards()]
        if mode == PAGINATED:
            ordinals = [item["ordinal"] for _, item in told]
            assert ordinals == sorted(set(ordinals))
            with pytest.raises(HasDependents):
                await store.delete_thread(id_)

    use(work)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_set_is_so(mode: str, use: Use) -> None:
    async def work(store: Store) -> None:
        id_ = await store.create_thread(new_thread(mode))
        await store.set_thread_name(id_, "named")
        await store.append_items(id_, turn(mode, id_, 1, "question", "answer"))
        await store.update_thread_metadata(id_, {"branch": "b", "origin": "https://me:pw@x.y/z"})
        await store.update_thread_metadata(id_, {"sha": "abc", "branch": None})
        await store.set_memory_mode(id_, "disabled")
        row = await store.read_thread(id_)
        assert (row["name"], row["preview"]) == ("named", "question")
        git = (row["git_sha"], row["git_branch"], row["git_origin_url"])
        assert git == ("abc", None, "https://x.y/z")
        fork = await store.fork_thread(id_)
        history = [item for _, item in (await store.load_history(fork)).items()]
        metas = [item["payload"] for item in history if item["type"] == "session_meta"]
        assert "disabled" in [meta.get("memory_mode") for meta in metas]
        for name in ("", "  ", "\ud800"):
            with pytest.raises(InvalidName):
                await store.set_thread_name(id_, name)
        with pytest.raises(InvalidChange):
            await store.set_memory_mode(id_, "sometimes")
        for git_ in ({}, {"branch": " "}, {"tag": "x"}):
            with pytest.raises(InvalidChange):
                await store.update_thread_metadata(id_, git_)

    use(work)


def test_a_thread_is_archived_and_deleted_with_its_descendants(use: Use) -> None:
    async def work(store: Store) -> None:
        parent = await begun(store)
        child = await begun(store, source=child_of(parent))
        grandchild = await begun(store, source=child_of(child))
        other = await begun(store)
        family = [grandchild, child, parent]
        assert await listed(store, parent_id=parent) == [child]
        assert set(await listed(store, ancestor_id=parent)) == {child, grandchild}
        assert await store.archive_thread(parent) == family
        assert store.live == [other]
        assert await listed(store) == [other]
        assert set(await listed(store, archived=True, all_sources=True)) == set(family)
        with pytest.raises(AlreadyArchived):
            await store.archive_thread(parent)
        with pytest.raises(NotArchived):
            await store.unarchive_thread(other)
        with pytest.raises(ThreadArchived):
            await store.resume_thread(child)
        with pytest.raises(ThreadArchived):
            await store.set_thread_name(parent, "x")
        with pytest.raises(ThreadArchived):
            await store.set_memory_mode(parent, "disabled")
        with pytest.raises(ThreadArchived):
            await store.fork_thread(parent)
        assert await questions(store, parent) == [["question 1", "answer 1"]]
        assert await store.unarchive_thread(parent) == family
        assert set(await listed(store)) == {parent, other}
        assert await store.delete_thread(parent) == family
        with pytest.raises(ThreadNotFound):
            await store.delete_thread(parent)
        assert await store.delete_thread(other, purge=True) == [other]
        assert (store.live, await listed(store, all_sources=True)) == ([], [])

    use(work)


def test_lists_are_pages_in_order(use: Use) -> None:
    async def work(store: Store) -> None:
        for number in range(7):
            cwd = f"/work/{number % 2}"
            await begun(store, cwd=cwd, id=thread_id(number), model_provider=f"p{number % 3}")
            await asyncio.sleep(0.002)  # so that no two have one time
        for key in ("created_at", "updated_at"):
            for descending in (False, True):
                found: list[str] = []
                cursor: str | None = None
                while True:
                    query = Query(key, descending, limit=3, cursor=cursor)
                    page = await store.list_threads(query)
                    found += [row["id"] for row in page.rows]
                    cursor = page.next_cursor
                    if cursor is None:
                        break
                wanted = [thread_id(number) for number in range(7)]
                assert found == (wanted[::-1] if descending else wanted)
        page = await store.list_threads(Query(limit=3))
        back = page.backwards_cursor
        turned = await listed(store, descending=False, cursor=back)
        assert turned == [page.rows[0]["id"]]
        with pytest.raises(InvalidCursor):
            await listed(store, cursor=page.next_cursor, cwds=("/work/1",))
        assert len(await listed(store, cwds=("/work/1/",))) == 3
        assert await listed(store, cwds=()) == []
        assert len(await listed(store, providers=("p0", "p1"))) == 5
        assert len(await listed(store, search="QUESTION 1")) == 7
        assert await listed(store, search="question", words=("1", "nowhere")) == []
        assert len(await listed(store, words=("question", "1"))) == 7
        assert await listed(store, search="question", without=("1",)) == []
        assert len(await listed(store, excluded_ids=(thread_id(0), thread_id(1)))) == 5
        named = (thread_id(5), thread_id(3).upper(), thread_id(9))
        assert await listed(store, included_ids=named) == [thread_id(5), thread_id(3)]
        assert await listed(store, included_ids=named, cwds=("/work/0",)) == []
        assert await listed(store, included_ids=()) == []
        assert await listed(store, source_kinds=("exec",)) == []

    use(work)


@pytest.mark.parametrize("mode", MODES)
def test_turns_and_items_are_pages(mode: str, use: Use) -> None:
    async def work(store: Store) -> None:
        id_ = await begun(store, mode, turns=5)
        first = await store.with_turns(
            id_, lambda told: told.turns(PageQuery(id_, limit=2), "full")
        )
        assert [each["id"] for each in first["data"]] == [turn_id(5), turn_id(4)]
        query = PageQuery(id_, limit=9, cursor=first["nextCursor"])
        rest = await store.with_turns(id_, lambda told: told.turns(query, "notLoaded"))
        assert [each["id"] for each in rest["data"]] == [turn_id(3), turn_id(2), turn_id(1)]
        if mode == PAGINATED:
            items = await store.with_turns(id_, lambda told: told.items(ItemQuery(id_, limit=3)))
            assert len(items["data"]) == 3
        await store.append_items(id_, [event("task_started", turn_id=turn_id(6), started_at=1)])
        await store.flush_thread(id_)
        turns = await store.with_turns(id_, lambda told: told.all_turns())
        assert turns[-1]["status"] == "inProgress", "it is live"
        await store.shutdown_thread(id_)
        turns = await store.with_turns(id_, lambda told: told.all_turns())
        assert turns[-1]["status"] == "interrupted"

    use(work)


@pytest.mark.parametrize("id_", ["", "../x", None, 5, "\ud800", thread_id(99)])
def test_what_is_no_thread_is_not_found(id_: Any, use: Use) -> None:
    async def work(store: Store) -> None:
        for call in (
            *(store.resume_thread, store.load_history, store.read_thread, store.fork_thread),
            *(store.archive_thread, store.unarchive_thread, store.delete_thread),
        ):
            with pytest.raises(ThreadNotFound):
                await call(id_)
        with pytest.raises(ThreadNotFound):
            await store.with_turns(id_, lambda told: told.all_turns())
        with pytest.raises(RecorderClosed):
            await store.append_items(id_, [])

    use(work)


def test_a_closed_store_does_nothing_more(use: Use, tmp_path: Path) -> None:
    stores: list[Store] = []

    async def work(store: Store) -> None:
        stores.append(store)

    use(work)

    async def late() -> None:
        with pytest.raises(RuntimeError, match="closed"):
            await stores[0].create_thread(new_thread())
        with pytest.raises(RuntimeError, match="closed"):
            await stores[0].set_thread_name(thread_id(1), "x")

    asyncio.run(late())
    assert not [*tmp_path.rglob("*-*.lock")]
