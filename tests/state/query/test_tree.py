"""The tree of forks and subagents: whole from its root, whatever is damaged, and as fast as what is
shown of it."""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.db.steps import Steps, run_steps
from state.query.tree import EVERYTHING, USUAL, Most, Tree, tree_steps
from state.thread_index import open_index
from tests.samples.homes import encoded, lines, thread_id, write
from tests.state.query.invented import fill


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """An index of 10,000 threads."""
    path = tmp_path_factory.mktemp("trees") / "index.sqlite3"
    fill(path, 10_000)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE threads SET created_at_ms = row_id")
        yield connection


def link(connection: sqlite3.Connection, parents: Mapping[int, int], column: str) -> None:
    """Let threads come from others, and no others."""
    connection.execute(
        "UPDATE threads SET parent_thread_id = NULL, forked_from_id = NULL"
        " WHERE coalesce(parent_thread_id, forked_from_id) IS NOT NULL"
    )
    connection.executemany(
        f"UPDATE threads SET {column} = ? WHERE id = ?",
        [(thread_id(parent), thread_id(child)) for child, parent in parents.items()],
    )


def tree(connection: sqlite3.Connection, number: int, most: Most = USUAL) -> Tree:
    return run_steps(tree_steps(thread_id(number), most), connection)


def walk(found: Tree) -> Iterator[Tree]:
    waiting = [found]
    for each in waiting:
        yield each
        waiting += each.children


def outline(found: Tree) -> dict[str, Any]:
    return {each.thread_id: [child.thread_id for child in each.children] for each in walk(found)}


def of(numbers: Mapping[int, list[int]]) -> dict[str, Any]:
    return {thread_id(n): [*map(thread_id, below)] for n, below in numbers.items()}


def test_all_of_it_is_seen_from_every_thread_of_it(connection: sqlite3.Connection) -> None:
    link(connection, {2: 1, 3: 1, 4: 2, 5: 4, 9: 8}, "forked_from_id")
    for number in (1, 2, 3, 4, 5):
        found = tree(connection, number)
        assert outline(found) == of({1: [2, 3], 2: [4], 3: [], 4: [5], 5: []})
        assert [each.kind for each in walk(found)] == ["", *["fork"] * 4]
        assert all(each.row and each.row["id"] == each.thread_id for each in walk(found))
    assert outline(tree(connection, 7)) == of({7: []})
    assert tree(connection, 20_000) == (thread_id(20_000), None, "", None, (), 0)


def test_missing_parents_are_named(connection: sqlite3.Connection) -> None:
    link(connection, {2: 20_000, 3: 20_000, 4: 3}, "parent_thread_id")
    found = tree(connection, 4)
    assert outline(found) == of({20_000: [2, 3], 2: [], 3: [4], 4: []})
    assert found.row is None
    assert [each.kind for each in walk(found)] == ["", *["subagent"] * 3]


@pytest.mark.parametrize(
    ("parents", "found"),
    [
        ({1: 1, 2: 1}, {1: [2], 2: []}),
        ({1: 2, 2: 1, 3: 2, 4: 3}, {1: [2], 2: [3], 3: [4], 4: []}),
        ({3: 2, 2: 1, 1: 3, 4: 1, 5: 2}, {1: [2, 4], 2: [3, 5], 3: [], 4: [], 5: []}),
    ],
)
def test_circles_end(
    connection: sqlite3.Connection, parents: dict[int, int], found: dict[int, list[int]]
) -> None:
    link(connection, parents, "forked_from_id")
    for number in found:
        assert outline(tree(connection, number)) == of(found)


@given(parents=st.dictionaries(st.integers(0, 12), st.integers(0, 12)), number=st.integers(0, 12))
def test_any_tree_has_the_thread_and_every_thread_once(
    connection: sqlite3.Connection, parents: dict[int, int], number: int
) -> None:
    link(connection, parents, "forked_from_id")
    every = [each.thread_id for each in walk(tree(connection, number))]
    assert len(every) == len({*every})
    assert thread_id(number) in every
    for most in (Most(1, 3, 4), Most(2, 5, 2), Most(1, 1, 1)):
        some = [each.thread_id for each in walk(tree(connection, number, most))]
        assert thread_id(number) in some
        assert len(some) == len({*some})


def test_thousands_of_children_are_cut(connection: sqlite3.Connection) -> None:
    link(connection, dict.fromkeys(range(1, 6000), 0) | {9000: 5998}, "forked_from_id")
    found = tree(connection, 0)
    assert [child.thread_id for child in found.children] == [*map(thread_id, range(1, 101))]
    assert found.more == 5899
    found = tree(connection, 9000)
    assert [child.thread_id for child in found.children[-2:]] == [thread_id(100), thread_id(5998)]
    assert found.more == 5898
    assert len([*walk(tree(connection, 0, EVERYTHING))]) == 6001
    found = tree(connection, 9000, Most(children=5, threads=3))
    assert outline(found)[thread_id(0)] == [*map(thread_id, (1, 2, 5998))]
    assert (found.more, found.children[2].more) == (5996, 0)


def test_a_chain_of_thousands_begins_near_the_thread(connection: sqlite3.Connection) -> None:
    link(connection, {n: n - 1 for n in range(1, 10_000)}, "forked_from_id")
    found = [*walk(tree(connection, 9000))]
    assert [each.thread_id for each in found] == [*map(thread_id, range(8950, 9051))]
    assert found[0].kind == "fork"
    assert found[-1].more == 1
    assert not any(each.more for each in found[:-1])
    link(connection, {n: n - 1 for n in range(1, 3000)}, "parent_thread_id")
    assert len([*walk(tree(connection, 10, EVERYTHING))]) == 3000


def test_an_index_serves_every_statement(connection: sqlite3.Connection) -> None:
    link(connection, {n: n // 3 for n in range(1, 9000)}, "forked_from_id")
    connection.execute("UPDATE threads SET history_base = '{\"end_ordinal_exclusive\":3}'")
    seen: list[str] = []

    def planned(steps: Steps[Tree]) -> Tree:
        request = next(steps)
        try:
            while True:
                sql, parameters = request
                plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
                seen.extend(line for *_, line in plan)
                request = steps.send(connection.execute(sql, parameters).fetchall())
        except StopIteration as done:
            result: Tree = done.value
            return result

    assert len([*walk(planned(tree_steps(thread_id(100))))]) == 1000
    assert not [line for line in seen if line.startswith(("SCAN threads", "SCAN t ", "SCAN u"))]
    assert any("ix_threads_tree_parent" in line for line in seen)


def test_kinds_and_fork_points(home: Path, index_path: Path) -> None:
    write(home, 1, encoded(lines(1)))
    base = {"thread_id": thread_id(1), "end_ordinal_exclusive": 12}
    spawned = {"subagent": {"thread_spawn": {"parent_thread_id": thread_id(1), "depth": 1}}}
    metas: tuple[dict[str, Any], ...] = (
        {"forked_from_id": thread_id(1), "history_base": base},
        {"forked_from_id": thread_id(1), "attached_thread": True},
        {"forked_from_id": thread_id(1), "source": spawned},
        {"parent_thread_id": thread_id(1), "source": {"subagent": "review"}},
        {"forked_from_id": thread_id(1), "history_base": {**base, "end_ordinal_exclusive": {}}},
    )
    for number, meta in enumerate(metas, 2):
        write(home, number, encoded(lines(number, **meta)))

    async def work() -> Tree:
        async with open_index(home, index_path) as index:
            await index.sync()
            await index.database.transact(_keep_turns)
            return await index.database.query(tree_steps(thread_id(4)))

    found = asyncio.run(work())
    kinds = ["fork", "side", "subagent", "subagent", "fork"]
    assert [(each.kind, each.turn) for each in found.children] == [
        *zip(kinds, [2, None, None, None, None], strict=True)
    ]


def _keep_turns(connection: sqlite3.Connection) -> None:
    """Turns that begin at the ordinals 1, 8 and 15."""
    connection.execute(
        "INSERT INTO turn_checkpoints (thread_id, version, files, mode, state, turns)"
        " VALUES (?, 1, '[]', 'paginated', '{}', 3)",
        [thread_id(1)],
    )
    for position in range(3):
        values = {
            "thread_id": thread_id(1),
            "position": position,
            "id": f"turn-{position}",
            "status": "completed",
            "start_ordinal": 1 + 7 * position,
            **dict.fromkeys(("explicit", "start_file", "start_offset"), 0),
            **dict.fromkeys(("first_user", "final_agent", "last_agent"), -1),
            "item_refs": b"",
        }
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        connection.execute(f"INSERT INTO turns ({names}) VALUES ({marks})", [*values.values()])
