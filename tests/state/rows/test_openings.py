"""What a thread begins with whose own file has no message."""

import sqlite3
from pathlib import Path
from typing import Any

from state.checks.findings import Finding
from state.query.model import Query
from state.repair.verify import Depth, verify
from state.rows.openings import update_openings
from state.thread_index import ThreadIndex
from tests.samples.homes import encoded, event, file_name, lines, thread_id, write
from tests.support.indexes import fresh_meaning, in_index, meaning, rows, sync

LATER = "2026-05-28T21:00:00.000Z"


def bare(number: int, base: int | None = None, **meta: Any) -> bytes:
    """A file without a message; its history begins in the file that has the id of ``base``."""
    if base is not None:
        meta |= {"history_base": {"thread_id": thread_id(base), "end_ordinal_exclusive": 2}}
    made = lines(number, history_mode="paginated", **meta)[:2]
    return encoded([{"ordinal": ordinal, **line} for ordinal, line in enumerate(made)])


def shown(home: Path, index: Path, number: int) -> tuple[str, bool]:
    """How a thread begins, and whether it counts as empty, when the index is in step; it is then
    what a fresh one would be, and verify finds nothing."""
    sync(home, index)
    assert meaning(index) == fresh_meaning(home)
    sql = "SELECT preview, facet FROM threads WHERE id = ?"
    [row] = rows(index, sql, thread_id(number))
    return row["preview"], row["facet"][1] == "1"


def test_a_thread_that_was_reverted_to_nothing_shows_what_it_began_with(
    home: Path, index_path: Path
) -> None:
    first = write(home, 1)
    assert shown(home, index_path, 1) == ("prompt 1", False)
    empty = write(home, 1, bare(1), segment=0)
    assert shown(home, index_path, 1) == ("prompt 1", False)
    write(home, 1, bare(1), segment=1)
    assert shown(home, index_path, 1) == ("prompt 1", False)
    write(home, 1, encoded(lines(1, "another way")), segment=0)  # the one left behind goes on
    assert shown(home, index_path, 1) == ("another way", False)
    empty.unlink()
    assert shown(home, index_path, 1) == ("prompt 1", False)
    first.unlink()
    assert shown(home, index_path, 1) == ("", True)


def test_a_message_of_its_own_comes_first(home: Path, index_path: Path) -> None:
    write(home, 1)
    empty = write(home, 1, bare(1), segment=0)
    assert shown(home, index_path, 1) == ("prompt 1", False)
    with empty.open("ab") as file:
        file.write(encoded([event(LATER, "thread_settings_applied", thread_settings={})]))
    assert shown(home, index_path, 1) == ("prompt 1", False)
    with empty.open("ab") as file:
        file.write(encoded([event(LATER, "user_message", message="better")]))
    assert shown(home, index_path, 1) == ("better", False)


def test_a_fork_that_has_not_gone_on_shows_what_its_source_begins_with(
    home: Path, index_path: Path
) -> None:
    write(home, 3, bare(3, base=2, forked_from_id=thread_id(2)))
    assert shown(home, index_path, 3) == ("", True)
    write(home, 2, bare(2, base=1))  # a fork of a fork, and its source comes last
    assert shown(home, index_path, 3) == ("", True)
    source = write(home, 1)
    assert shown(home, index_path, 2) == ("prompt 1", False)
    assert shown(home, index_path, 3) == ("prompt 1", False)
    source.unlink()
    assert shown(home, index_path, 3) == ("", True)


def test_a_fork_of_a_reverted_thread_follows_the_file_that_it_names(
    home: Path, index_path: Path
) -> None:
    write(home, 1)
    write(home, 1, bare(1), segment=0)
    write(home, 2, bare(2, base=5000))  # the id of that segment's file
    assert shown(home, index_path, 2) == ("prompt 1", False)


def test_a_fork_shows_what_the_file_begins_with_that_it_names(home: Path, index_path: Path) -> None:
    """Its source was reverted after that, and has gone on in another way."""
    write(home, 1)
    write(home, 2, bare(2, base=1))
    assert shown(home, index_path, 2) == ("prompt 1", False)
    write(home, 1, encoded(lines(1, "another way")), segment=0)
    assert shown(home, index_path, 1) == ("another way", False)
    assert shown(home, index_path, 2) == ("prompt 1", False)


def test_forks_of_a_reverted_fork_follow_its_source(home: Path, index_path: Path) -> None:
    write(home, 2, bare(2, base=9))
    write(home, 2, bare(2, base=9), segment=0)
    write(home, 3, bare(3, base=5000))  # of the file that the revert made
    write(home, 4, bare(4, base=2))  # of the one that it left behind
    assert shown(home, index_path, 3) == ("", True)
    write(home, 9)
    for number in (2, 3, 4):
        assert shown(home, index_path, number) == ("prompt 9", False)
    gone_on = event(LATER, "user_message", message="gone on")
    write(home, 2, bare(2, base=9) + encoded([gone_on]), segment=0)
    write(home, 9, encoded(lines(9, "something else")))
    assert shown(home, index_path, 3) == ("gone on", False)
    assert shown(home, index_path, 4) == ("something else", False)


def test_a_chain_of_forks_is_gone_through_once(home: Path, index_path: Path) -> None:
    length = 60
    for number in range(length):
        write(home, number, bare(number, base=number + 1))
    sync(home, index_path)
    asked: list[str] = []

    async def counted(index: ThreadIndex) -> None:
        def update(connection: sqlite3.Connection) -> None:
            connection.set_trace_callback(asked.append)
            update_openings(connection, {thread_id(number) for number in range(length)})
            connection.set_trace_callback(None)

        await index.database.transact(update)

    in_index(home, index_path, counted)
    assert length < len(asked) < 6 * length


def test_histories_in_a_circle_begin_with_nothing(home: Path, index_path: Path) -> None:
    write(home, 1, bare(1, base=2))
    write(home, 2, bare(2, base=1))
    assert shown(home, index_path, 1) == ("", True)


def test_side_threads_and_spawned_ones_do_not_begin_with_what_others_said(
    home: Path, index_path: Path
) -> None:
    write(home, 1)
    source = thread_id(1)
    write(home, 2, bare(2, base=1, forked_from_id=source, attached_thread=True))
    spawned = {"subagent": {"thread_spawn": {"parent_thread_id": source, "depth": 1}}}
    write(home, 3, bare(3, base=1, source=spawned))
    assert shown(home, index_path, 2) == ("", True)
    assert shown(home, index_path, 3) == ("", True)


def test_it_is_found_by_what_it_shows_and_nothing_is_wrong_with_it(
    home: Path, index_path: Path
) -> None:
    write(home, 1)
    write(home, 2, bare(2, base=1))
    sync(home, index_path)
    page = in_index(home, index_path, lambda index: index.page(Query(search="PROMPT 1")))
    assert {row["id"] for row in page.rows} == {thread_id(1), thread_id(2)}
    told: list[Finding] = []

    async def check(_: object) -> None:
        await verify(home, index_path, told.append, depth=Depth())

    in_index(home, index_path, lambda index: index.catch_up())
    in_index(home, index_path, check)
    assert told == []
    write(home, 1, encoded(lines(1, "something else")))
    in_index(home, index_path, lambda index: index.refresh([f"sessions/2026/05/28/{file_name(1)}"]))
    page = in_index(home, index_path, lambda index: index.page(Query(search="else")))
    assert {row["id"] for row in page.rows} == {thread_id(1), thread_id(2)}
