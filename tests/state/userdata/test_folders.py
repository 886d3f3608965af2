"""Folders that have moved: their threads are found under the new place, and under the old one."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.db.location import journal_path
from state.errors import AliasCycle, AliasNotFound, InvalidFolder, InvalidQuery
from state.query.model import Query
from state.repair.reindex import reindex
from state.thread_index import ThreadIndex, open_index
from state.userdata.folders import MOST_FOLDERS, is_below, moved_to, origins, tree_roots
from state.userdata.journal import append_settings
from state.userdata.model import LATEST_MS, FolderAlias
from state.userdata.relink import aliases, relink, unlink
from tests import FIXTURES
from tests.samples.homes import encoded, lines, thread_id, write

Result = TypeVar("Result")
OLD, MID, NEW = "/work/old", "/work/mid", "/srv/new"

folders = st.lists(st.sampled_from("abc"), max_size=3).map(lambda parts: "/" + "/".join(parts))


@pytest.mark.parametrize(
    ("key", "known", "found"),
    [
        (NEW, {}, [NEW]),
        (NEW, {OLD: NEW}, [NEW, OLD]),
        (f"{NEW}/sub", {OLD: NEW}, [f"{NEW}/sub", f"{OLD}/sub"]),
        (f"{NEW}er", {OLD: NEW}, [f"{NEW}er"]),
        ("/srv", {OLD: NEW}, ["/srv"]),
        (OLD, {OLD: NEW}, [OLD]),
        (NEW, {OLD: MID, MID: NEW}, [NEW, MID, OLD]),
        (NEW, {OLD: NEW, MID: NEW}, [NEW, OLD, MID]),
        ("/x", {OLD: "/"}, ["/x", f"{OLD}/x"]),
        (f"{NEW}/x", {"/": NEW}, [f"{NEW}/x", "/x"]),
        (NEW, {"/": NEW}, [NEW, "/"]),
        ("/a", {"/a/b": "/a"}, ["/a", "/a/b"]),
        ("/a/b", {"/a": "/a/b"}, ["/a/b", "/a"]),
        ("/a", {"/a": "/b", "/b": "/a"}, ["/a", "/b"]),
        ("d:/new/x", {"c:/old": "d:/new"}, ["d:/new/x", "c:/old/x"]),
    ],
)
def test_origins(key: str, known: dict[str, str], found: list[str]) -> None:
    assert origins([key], known) == found


@pytest.mark.parametrize(
    ("key", "known", "place"),
    [
        (OLD, {}, OLD),
        (OLD, {OLD: MID, MID: NEW}, NEW),
        (f"{OLD}/a/b", {OLD: MID, f"{OLD}/a": NEW}, f"{NEW}/b"),
        ("/a/x", {"/a": "/a/b"}, "/a/b/x"),
        ("/a", {"/a": "/b", "/b": "/a"}, "/a"),
        ("/x", {"/": NEW}, f"{NEW}/x"),
    ],
)
def test_where_a_folder_is_now(key: str, known: dict[str, str], place: str) -> None:
    assert moved_to(key, known) == place


@given(key=folders, known=st.dictionaries(folders, folders, max_size=4))
def test_whatever_the_aliases_both_ways_come_to_an_end(key: str, known: dict[str, str]) -> None:
    found = origins([key], known)
    assert found[0] == key
    assert len(found) == len(set(found))
    moved_to(key, known)


def test_a_folder_that_stands_for_too_many_is_refused() -> None:
    many = {f"/old/{number}": NEW for number in range(MOST_FOLDERS + 1)}
    with pytest.raises(InvalidQuery, match=NEW):
        origins([NEW], many)
    growing = {f"/x/{number}": "/x" for number in range(30)}
    with pytest.raises(InvalidQuery, match="/x"):
        origins(["/x"], growing)


def thread_in(home: Path, number: int, cwd: str) -> None:
    """A thread of a folder, with no other folder in its turns."""
    content = lines(number, f"prompt {number}", cwd=cwd)
    content[1]["payload"]["cwd"] = cwd
    write(home, number, encoded(content))


@pytest.fixture
def moved_home(home: Path) -> Path:
    """A home with threads of five folders."""
    for number, cwd in enumerate((OLD, f"{OLD}/sub", MID, NEW, "/elsewhere"), 1):
        thread_in(home, number, cwd)
    return home


def use(home: Path, path: Path, work: Callable[[ThreadIndex], Awaitable[Result]]) -> Result:
    """What ``work`` gives for an index in step."""

    async def opened() -> Result:
        async with open_index(home, path) as index:
            await index.catch_up()
            return await work(index)

    return asyncio.run(opened())


async def numbers(index: ThreadIndex, *cwds: str, **filters: str) -> set[int]:
    """The threads that a list with these folders shows."""
    page = await index.page(Query(cwds=cwds, **filters))  # type: ignore[arg-type]
    counted = await index.count(Query(cwds=cwds, **filters))  # type: ignore[arg-type]
    assert (counted.listed, counted.hidden.total) == (len(page.rows), 0)
    return {int(row["preview"].split()[1]) for row in page.rows}


def test_threads_are_found_in_every_place_of_a_chain(moved_home: Path, index_path: Path) -> None:
    async def work(index: ThreadIndex) -> None:
        assert await numbers(index, NEW) == {4}
        assert (await relink(index.database, OLD, MID))[1] == 2
        assert await numbers(index, MID) == {1, 3}
        assert (await relink(index.database, MID, NEW))[1] == 1
        assert await numbers(index, NEW) == {1, 3, 4}
        assert await numbers(index, f"{NEW}/sub") == {2}
        assert await numbers(index, OLD) == {1}
        assert await numbers(index, "/elsewhere") == {5}
        assert await numbers(index, NEW, "/elsewhere") == {1, 3, 4, 5}
        assert await numbers(index, NEW, search="prompt 1") == {1}
        assert await numbers(index, NEW, search="1") == {1}
        details = await index.details(thread_id(2))
        assert (details["cwd"], details["moved_to"]) == (f"{OLD}/sub", f"{NEW}/sub")
        assert (await index.details(thread_id(5)))["moved_to"] is None
        await unlink(index.database, MID)
        assert await numbers(index, NEW) == {4}
        assert await numbers(index, MID) == {1, 3}

    use(moved_home, index_path, work)


def test_children_of_a_folder_that_moved_are_found(home: Path, index_path: Path) -> None:
    write(home, 1)
    spawned = {"subagent": {"thread_spawn": {"parent_thread_id": thread_id(1), "depth": 1}}}
    content = lines(2, "prompt 2", cwd=OLD, source=spawned)
    content[1]["payload"]["cwd"] = OLD
    write(home, 2, encoded(content))

    async def work(index: ThreadIndex) -> None:
        await relink(index.database, OLD, NEW)
        query = Query(cwds=(NEW,), parent_id=thread_id(1))
        assert [row["id"] for row in (await index.page(query)).rows] == [thread_id(2)]

    use(home, index_path, work)


def test_circles_are_refused_and_change_nothing(moved_home: Path, index_path: Path) -> None:
    async def work(index: ThreadIndex) -> None:
        await relink(index.database, OLD, MID)
        await relink(index.database, MID, NEW)
        journal = journal_path(index_path).read_bytes()
        for old, new in ((NEW, OLD), (NEW, NEW), (f"{NEW}/x", f"{OLD}/x"), (f"{NEW}/", OLD)):
            with pytest.raises(AliasCycle):
                await relink(index.database, old, new)
        for old, new in (("", OLD), (OLD, " "), (OLD, "a\0b"), ("\udcff", OLD)):
            with pytest.raises(InvalidFolder):
                await relink(index.database, old, new)
        with pytest.raises(AliasNotFound):
            await unlink(index.database, "/nowhere")
        assert journal_path(index_path).read_bytes() == journal
        await relink(index.database, OLD, NEW)  # another place for the same folder is none
        found = {alias.alias: alias.value for alias in await aliases(index.database)}
        assert found == {OLD: NEW, MID: NEW}

    use(moved_home, index_path, work)


def test_the_same_folder_spelled_otherwise_is_the_same(moved_home: Path, index_path: Path) -> None:
    async def work(index: ThreadIndex) -> None:
        await relink(index.database, f"{OLD}//", f"{NEW}/./")
        assert await numbers(index, NEW) == {1, 4}
        await unlink(index.database, f"{OLD}/")
        assert await numbers(index, NEW) == {4}
        await relink(index.database, "C:\\Users\\me", "\\\\?\\D:\\me")
        with pytest.raises(AliasCycle):
            await relink(index.database, "d:/me/x", "c:\\Users\\me\\x")

    use(moved_home, index_path, work)


@pytest.mark.parametrize("loss", ["reindex", "index lost", "journal lost", "index damaged"])
def test_aliases_outlive_the_index(loss: str, moved_home: Path, index_path: Path) -> None:
    async def work(index: ThreadIndex) -> None:
        await relink(index.database, MID, NEW)
        await relink(index.database, OLD, NEW)
        await unlink(index.database, MID)

    use(moved_home, index_path, work)
    if loss == "index lost":
        for file in index_path.parent.glob("index.sqlite3*"):
            file.unlink()
    if loss == "journal lost":
        journal_path(index_path).unlink()
    if loss == "index damaged":
        index_path.write_bytes(b"no database " * 1000)
    if loss != "index lost":
        asyncio.run(reindex(moved_home, index_path))

    async def after(index: ThreadIndex) -> None:
        assert await numbers(index, NEW) == {1, 4}

    use(moved_home, index_path, after)


def test_an_index_of_the_first_revision_gets_the_aliases_of_the_journal(index_path: Path) -> None:
    index_path.parent.mkdir()
    shutil.copy(FIXTURES / "indexes" / "v0001.sqlite3", index_path)
    append_settings(index_path, [FolderAlias(OLD, NEW, 5)])

    async def work() -> list[FolderAlias]:
        async with open_index(index_path.parent, index_path) as index:
            return await aliases(index.database)

    assert asyncio.run(work()) == [FolderAlias(OLD, NEW, 5)]


def test_the_journal_says_it_before_the_index_does(moved_home: Path, index_path: Path) -> None:
    use(moved_home, index_path, lambda index: relink(index.database, OLD, NEW))
    (line,) = journal_path(index_path).read_text("utf-8").splitlines()
    told = json.loads(line)
    with closing(sqlite3.connect(index_path)) as connection:
        [row] = connection.execute("SELECT old, new, set_at_ms FROM path_aliases").fetchall()
    assert told == {"v": 1, "alias": row[0], "value": row[1], "set_at_ms": row[2]}


@pytest.mark.parametrize("set_at_ms", [2**61, LATEST_MS])
def test_a_clock_that_was_set_back_does_not_keep_an_old_alias(
    set_at_ms: int, moved_home: Path, index_path: Path
) -> None:
    index_path.parent.mkdir()
    ahead = FolderAlias(OLD, MID, set_at_ms)
    append_settings(index_path, [ahead])

    async def work(index: ThreadIndex) -> None:
        assert await aliases(index.database) == [ahead]
        await relink(index.database, OLD, NEW)
        assert [alias.value for alias in await aliases(index.database)] == [NEW]

    use(moved_home, index_path, work)


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ({}, ["/w"]),
        ({"/old": "/w/sub"}, ["/w", "/old"]),
        ({"/old": "/w/sub", "/older": "/old/x"}, ["/w", "/old", "/older"]),
        ({"/v": "/"}, ["/w", "/v/w"]),
        ({"/w/a": "/w/b", "/w/b": "/w/a"}, ["/w"]),
        ({"/far": "/wide"}, ["/w"]),
    ],
)
def test_what_moved_into_a_tree_belongs_to_it(known: dict[str, str], found: list[str]) -> None:
    roots = tree_roots(["/w/"], known)
    inner = {a for a in roots for b in roots if a != b and is_below(a, b)}
    assert [root for root in roots if root not in inner] == found


def test_a_folder_is_below_another_by_whole_names() -> None:
    assert is_below("/w", "/w")
    assert is_below("/w/a", "/w")
    assert is_below("/w", "/")
    assert not is_below("/wide", "/w")
    assert not is_below("/w", "/w/a")
