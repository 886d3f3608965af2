"""A page is told what happens to its thread: real files that grow, move and go."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from cli.web.thread.following import Event, events
from cli.web.thread.opened import OpenThread, OpenThreads
from cli.web.thread.window import Spot, window
from rollout.schema.modes import PAGINATED
from state.thread_store import ThreadStore, open_store
from tests.cli.web.thread.support import talk
from tests.samples.histories import spell
from tests.samples.homes import thread_id
from tests.samples.long_threads import content, put
from tests.samples.rollouts import THREAD_ID
from tests.support.effort import PATIENCE_S
from tests.support.indexes import sync
from tests.support.reading import event, turn

Look = Callable[[ThreadStore, OpenThread, AsyncGenerator[Event]], Awaitable[None]]


def follow(tmp_path: Path, work: Look, id_: str = THREAD_ID) -> None:
    """Follow a thread of the home."""
    home, index = tmp_path / "home", tmp_path / "state" / "index.sqlite3"
    sync(home, index)

    async def opened() -> None:
        async with open_store(home, index) as store:
            thread = await OpenThreads().open(store, id_)
            async with aclosing(events(thread)) as told, asyncio.timeout(PATIENCE_S):
                await work(store, thread, told)
            thread.close()

    asyncio.run(opened())


def append(path: Path, lines: list[dict[str, Any]]) -> None:
    with path.open("ab") as file:
        file.write(spell(lines))


async def heard(told: AsyncGenerator[Event]) -> Event:
    """What is told next; but not how much was read, where that takes long."""
    while (found := await anext(told))[0] == "reading":
        pass
    return found


async def texts(thread: OpenThread) -> str:
    """What the page of the end has."""
    known = await thread.known()
    found = await window(thread, known, (len(known.heads) - 1, -1), -1)
    return "".join(piece.html for article in found.articles for piece in article.pieces)


def test_what_is_added_is_told_and_there(tmp_path: Path) -> None:
    path = talk(tmp_path, turn(1, ended=False))

    async def work(_: ThreadStore, thread: OpenThread, told: AsyncGenerator[Event]) -> None:
        name, first = await heard(told)
        assert (name, first["count"], first["partial"]) == ("turns", 1, False)
        assert first["title"] == "question 1"
        append(path, [event("agent_message", message="still the first turn")])
        name, grown = await heard(told)
        assert (name, grown["count"], grown["last"]) == ("turns", 1, first["last"])
        assert "still the first turn" in await texts(thread)
        append(path, turn(2))
        while (await heard(told))[1]["count"] != 2:
            pass
        assert "question 2" in await texts(thread)
        whole = spell(turn(3, event("agent_message", message="torn")))
        with path.open("ab") as file:  # a line that is not whole yet says nothing
            file.write(whole[:-40])
        while (await heard(told))[1]["count"] != 3:
            pass
        assert "torn" in await texts(thread)
        with path.open("ab") as file:
            file.write(whole[-40:])
        while not (await thread.known()).heads[-1].duration:
            await heard(told)

    follow(tmp_path, work)


def test_turns_that_are_not_there_any_more_are_gone_from_the_page(tmp_path: Path) -> None:
    path = talk(tmp_path, turn(1), turn(2), turn(3))

    async def work(_: ThreadStore, thread: OpenThread, told: AsyncGenerator[Event]) -> None:
        await heard(told)
        before = await thread.known()
        last = Spot.of(before.heads[-1])
        append(path, [event("thread_rolled_back", num_turns=2)])
        name, fewer = await heard(told)
        assert (name, fewer["count"], fewer["rewritten"]) == ("turns", 1, True)
        known = await thread.known()
        assert [Spot.of(head) for head in known.heads] == [Spot.of(before.heads[0])]
        assert last not in [Spot.of(head) for head in known.heads]
        for seen, rewritten in (last, True), (Spot.of(known.heads[0]), False), (None, False):
            async with aclosing(events(thread, seen)) as again:  # after a connection was lost
                assert (await heard(again))[1]["rewritten"] is rewritten
        append(path, turn(4))
        assert (await heard(told))[1]["rewritten"] is False
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 3)
        while not (cut := (await heard(told))[1])["rewritten"]:
            pass
        assert cut["count"] <= 2

    follow(tmp_path, work)


def test_an_archived_thread_is_followed_and_a_deleted_one_is_gone(tmp_path: Path) -> None:
    path = talk(tmp_path, turn(1))

    async def work(store: ThreadStore, thread: OpenThread, told: AsyncGenerator[Event]) -> None:
        await heard(told)
        await store.archive_thread(THREAD_ID)
        assert (await heard(told))[0] == "archived"
        moved = tmp_path / "home" / "archived_sessions" / path.name
        append(moved, turn(2))
        assert (await heard(told))[1]["count"] == 2
        await store.unarchive_thread(THREAD_ID)
        assert (await heard(told))[0] == "unarchived"
        aside = tmp_path / "aside"
        path.rename(aside)
        assert (await heard(told))[0] == "gone"
        aside.rename(path)
        assert (await heard(told))[0] == "back"
        await store.index.sync()  # as a server does when a file appears
        await store.delete_thread(THREAD_ID)
        assert (await heard(told))[0] == "gone"

    follow(tmp_path, work)


def test_a_long_thread_shows_its_end_at_once_and_gets_numbers_later(tmp_path: Path) -> None:
    put(tmp_path / "home", 1, content(1, PAGINATED, 90, bulk=100_000))

    async def work(_: ThreadStore, thread: OpenThread, told: AsyncGenerator[Event]) -> None:
        name, first = await heard(told)
        assert (name, first["partial"]) == ("turns", True)
        assert first["count"] < 90
        assert "answer 89" in await texts(thread)
        data: dict[str, Any] = {}
        while "numbers" not in data:
            name, data = await anext(told)
            assert name in ("turns", "reading")
        assert data["count"] == 90
        assert data["numbers"][first["last"]] == 90
        first_of_all = await window(thread, await thread.known(), (0, 0), 1)
        assert first_of_all.articles[0].head.number == 1

    follow(tmp_path, work, thread_id(1))


def test_what_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    path = talk(tmp_path, turn(1))

    async def work(_: ThreadStore, thread: OpenThread, told: AsyncGenerator[Event]) -> None:
        await heard(told)
        path.unlink()
        path.mkdir()
        name, data = await heard(told)
        assert name in ("trouble", "gone")
        assert name == "gone" or str(path) in data["message"]
        path.rmdir()
        talk(tmp_path, turn(1), turn(2))
        os.utime(path, ns=(10**18, 10**18))
        while (found := await heard(told))[0] != "turns":
            pass
        assert found[1]["count"] == 2

    follow(tmp_path, work)


def test_threads_that_nobody_reads_are_let_go(tmp_path: Path) -> None:
    for number in range(20):
        put(tmp_path / "home", number + 1, content(number + 1, PAGINATED, 2, bulk=10))
    home, index = tmp_path / "home", tmp_path / "state" / "index.sqlite3"
    sync(home, index)

    async def opened() -> None:
        async with open_store(home, index) as store:
            threads = OpenThreads()
            first = await threads.open(store, thread_id(1))
            assert await threads.open(store, thread_id(1)) is first
            for number in range(2, 21):
                assert (await (await threads.open(store, thread_id(number))).known()).heads
            assert await threads.open(store, thread_id(20)) is not first
            assert await threads.open(store, thread_id(1)) is not first

    asyncio.run(opened())
