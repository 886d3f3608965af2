"""Pages are fast and true: keyset order, composed filters, an index for every combination."""

import asyncio
import itertools
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from state.db.database import open_database
from state.db.derived_columns import SORT_KEYS
from state.db.schema import DEFERRED_INDEXES
from state.db.steps import Steps, run_steps
from state.errors import InvalidCursor
from state.query.choices import choice_steps
from state.query.listing import count_steps, page_steps
from state.query.model import Page, Query
from state.query.rows import Row
from tests.samples.homes import thread_id
from tests.state.query.invented import (
    QUERIES,
    chosen,
    expected,
    fill,
    stored,
)
from tests.support.each import each
from tests.support.effort import examples, sample


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("small") / "index.sqlite3"
    fill(path, 300)
    with closing(sqlite3.connect(path)) as connection:
        yield connection


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("large") / "index.sqlite3"
    fill(path, 12_000)
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def walk(connection: sqlite3.Connection, query: Query) -> list[Page]:
    pages = [run_steps(page_steps(query), connection)]
    while pages[-1].next_cursor:
        pages.append(
            run_steps(page_steps(replace(query, cursor=pages[-1].next_cursor)), connection)
        )
        assert len(pages) < 1000
    return pages


def ids(rows: list[Row]) -> list[str]:
    return [row["id"] for row in rows]


@given(query=QUERIES)
@examples(300)
def test_walking_the_pages_gives_each_thread_once_in_order(
    small: sqlite3.Connection, query: Query
) -> None:
    pages = walk(small, query)
    assert [id_ for page in pages for id_ in ids(page.rows)] == expected(small, query)
    assert all(len(page.rows) == query.limit for page in pages[:-1])


@given(query=QUERIES)
@examples(100)
def test_a_backwards_cursor_leads_back_from_the_first_row(
    small: sqlite3.Connection, query: Query
) -> None:
    pages = walk(small, query)
    if len(pages) < 2:
        return
    second = pages[1]
    back = replace(query, descending=not query.descending, cursor=second.backwards_cursor)
    whole = expected(small, replace(query, descending=not query.descending))
    first = second.rows[0]["id"]
    found = [id_ for page in walk(small, back) for id_ in ids(page.rows)]
    assert first in found
    assert whole[whole.index(first) :] == found[found.index(first) :]


def plans(connection: sqlite3.Connection, steps: Steps[Any]) -> list[str]:
    """The plans of all statements of a page, or of what else is read."""
    found: list[str] = []
    try:
        request = next(steps)
        while True:
            sql, parameters = request
            plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
            found += [row[3] for row in plan]
            request = steps.send(connection.execute(sql, parameters).fetchall())
    except StopIteration:
        return found


FILTERS: dict[str, dict[str, Any]] = {
    "default": {},
    "archived": {"archived": True},
    "all sources": {"all_sources": True},
    "sources": {"source_kinds": ("exec", "subAgent")},
    "provider": {"providers": ("mock",)},
    "cwd": {"cwds": ("/work/a",)},
    "cwds": {"cwds": ("/work/a", "/work/b")},
    "rare search": {"search": "#123"},
    "common search": {"search": "parser"},
    "short search": {"search": "e"},
    "since": {"since_ms": 100},
    "until": {"until_ms": 1000},
    "span": {"since_ms": 100, "until_ms": 110},
    "folder": {"folders": ("/work",)},
    "project": {"projects": ("c",)},
    "common model": {"models": ("gpt-5*",)},
    "common branch": {"branches": ("feature/*",)},
    "few tagged": {"tags": ("few",)},
    "most tagged": {"tags": ("most",)},
    "two tags": {"tags": ("most", "some")},
    "pinned": {"pinned": True},
    "not pinned": {"pinned": False},
    "rare status": {"statuses": ("todo", "doing")},
    "common status": {"statuses": ("done",)},
    "rare tokens": {"min_tokens": 4950},
    "common size": {"min_size": 100},
    "excluded": {"excluded_ids": (thread_id(1),)},
    "included": {"included_ids": (thread_id(1), thread_id(2))},
    "parent": {"parent_id": thread_id(3)},
    "ancestor": {"ancestor_id": thread_id(3)},
}


BY_ROW = {"common model", "common branch", "rare tokens", "common size"}
"""No index has these columns with every sort key, so rows are looked at."""


def test_every_filter_and_sort_is_served_by_an_index(large: sqlite3.Connection) -> None:
    """No statement of a page of 12,000 threads scans or sorts the table."""

    def check(case: tuple[str, str, str, bool]) -> None:
        name, other, key, descending = case
        merged = {**FILTERS[other], **FILTERS[name]}
        query = Query(sort_key=key, descending=descending, **merged)
        first = run_steps(page_steps(query), large)
        ordered = name in ("common model", "common branch") and key == "recency_at"
        by_row = "search" in name or (name in BY_ROW and not (ordered and other != "cwd"))
        for place in (None, first.next_cursor):
            for line in plans(large, page_steps(replace(query, cursor=place))):
                assert not line.startswith("SCAN threads"), line
                if "ix_threads" in line:
                    assert line.startswith("SEARCH threads USING COVERING INDEX") or (
                        by_row and line.startswith("SEARCH threads USING INDEX")
                    ), line

    others = ["default", "provider", "cwd", "sources"]
    each(sample(itertools.product(FILTERS, others, SORT_KEYS, (True, False))), check)


def test_lists_are_right_before_a_first_backfill_makes_their_indexes(
    small: sqlite3.Connection,
) -> None:
    queries = [
        Query(sort_key=key, limit=100, **filters)
        for key in SORT_KEYS
        for filters in FILTERS.values()
    ]
    before = [run_steps(page_steps(query), small) for query in queries]
    small.execute("BEGIN")
    for index in DEFERRED_INDEXES:
        small.execute(f"DROP INDEX {index.name}")
    assert [run_steps(page_steps(query), small) for query in queries] == before
    small.rollback()


def test_projects_are_found_among_very_many_folders(tmp_path: Path) -> None:
    fill(tmp_path / "index.sqlite3", 1200)
    with closing(sqlite3.connect(tmp_path / "index.sqlite3")) as connection:
        connection.execute("UPDATE threads SET cwd_key = printf('/p/%d/src', row_id)")
        connection.execute("UPDATE threads SET cwd_key = 'c:/p/seven' WHERE row_id = 7")
        connection.execute("UPDATE threads SET cwd_key = '/p/SEVEN' WHERE row_id = 8")

        def called(*names: str) -> list[str] | None:
            return run_steps(choice_steps(Query(projects=names)), connection)[0].values

        assert called("77") == ["/p/77/src"]
        assert called("SEVEN") == ["/p/SEVEN", "c:/p/seven"]
        assert called("Seven", "5/src/") == ["/p/5/src", "c:/p/seven"]
        alias = "/p/9", "/p/9", "/q/nine", "/q/nine", 0
        connection.execute("INSERT INTO path_aliases VALUES (?, ?, ?, ?, ?)", alias)
        assert called("nine") == ["/p/9/src"]


def test_the_threads_of_a_tag_are_counted_without_the_others(large: sqlite3.Connection) -> None:
    for name in ("few tagged", "most tagged", "pinned", "rare status"):
        lines = plans(large, count_steps(Query(**FILTERS[name])))
        assert [line for line in lines if "autoindex_threads" in line]
        assert not [line for line in lines if "ix_threads" in line or "SCAN threads" in line]


@pytest.mark.parametrize("name", ["folder", *sorted(BY_ROW)])
def test_what_one_filter_chooses_is_counted_in_its_index(
    name: str, large: sqlite3.Connection
) -> None:
    lines = plans(large, count_steps(Query(**FILTERS[name])))
    assert not [line for line in lines if line.startswith("SCAN threads")]
    read = [line for line in lines if line.startswith("SEARCH threads USING")]
    assert read
    assert all("COVERING INDEX" in line for line in read)


@pytest.mark.parametrize("query", [Query(), Query(archived=True), Query(all_sources=True)])
def test_what_is_hidden_and_what_is_shown_are_all_threads(
    query: Query, small: sqlite3.Connection
) -> None:
    shown = len(expected(small, query))
    counted = run_steps(count_steps(query), small)
    hidden = counted.hidden
    assert counted.listed == shown
    [(archived,)] = small.execute("SELECT count(*) FROM threads WHERE archived")
    [(total,)] = small.execute("SELECT count(*) FROM threads")
    if query.archived:
        assert hidden.archived == 0
        assert shown + hidden.source + hidden.empty + hidden.attached == archived
    else:
        [(odd,)] = small.execute(
            "SELECT count(*) FROM threads WHERE archived AND (preview = '' OR source_kind NOT IN"
            " ('cli', 'vscode', 'custom:atlas', 'custom:chatgpt'))"
        )
        odd = 0 if query.all_sources else odd
        if query.all_sources:
            [(odd,)] = small.execute("SELECT count(*) FROM threads WHERE archived AND preview = ''")
        # Archived threads that would not be shown either way are no loss.
        assert shown + hidden.total == total - odd


FILTERED = [
    Query(archived=True, models=("gpt-5*",), min_tokens=500),
    Query(archived=True, folders=("/work",), since_ms=20),
    Query(archived=True, branches=("*a*",), projects=("work",), until_ms=90),
    Query(archived=True, tags=("most",), models=("gpt-5*",)),
    Query(archived=True, statuses=("done",), pinned=False),
]


@pytest.mark.parametrize("query", FILTERED)
def test_what_filters_leave_out_is_not_hidden(query: Query, small: sqlite3.Connection) -> None:
    counted = run_steps(count_steps(query), small)
    hidden = counted.hidden
    assert counted.listed == len(expected(small, query))
    rows = [row for row in stored(small)[0] if row["archived"] and chosen(row, query)]
    assert hidden.total + counted.listed == len(rows) > hidden.total > 0


def test_newer_filters_change_no_cursor_of_older_lists() -> None:
    assert Query().filters == "b1a3c14a6ca9"
    older = Query(archived=True, providers=("b", "a"), cwds=("/w",), search="x")
    assert older.filters == "eea4dcd414b1"
    newer = [
        *(Query(folders=("x",)), Query(projects=("x",)), Query(models=("x",))),
        *(Query(branches=("x",)), Query(min_tokens=1), Query(min_size=1)),
        *(Query(tags=("x",)), Query(pinned=True), Query(pinned=False), Query(statuses=("done",))),
        *(Query(since_ms=0), Query(until_ms=0)),
    ]
    assert replace(newer[-1], until_ms=1).filters == newer[-1].filters
    assert len({Query().filters, *(query.filters for query in newer)}) == 1 + len(newer)


def test_a_cursor_is_bound_to_its_list(small: sqlite3.Connection) -> None:
    query = Query(limit=5)
    place = run_steps(page_steps(query), small).next_cursor
    assert place
    for other in (
        Query(sort_key="updated_at", cursor=place),
        Query(descending=False, cursor=place),
        Query(archived=True, cursor=place),
        Query(search="x", cursor=place),
        Query(cwds=("/work/a",), cursor=place),
        Query(providers=("mock",), cursor=place),
    ):
        with pytest.raises(InvalidCursor):
            run_steps(page_steps(other), small)
    assert run_steps(page_steps(replace(query, limit=7, cursor=place)), small).rows


def test_a_cancelled_page_leaves_an_index_that_answers(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    fill(path, 2000)

    async def scenario() -> None:
        async with open_database(path) as database:
            for _ in range(5):
                task = asyncio.create_task(database.query(page_steps(Query(search="e", limit=100))))
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            pages = await asyncio.gather(
                *(database.query(page_steps(Query(limit=10))) for _ in range(20))
            )
            assert len({tuple(ids(page.rows)) for page in pages}) == 1

    asyncio.run(scenario())


def test_circles_in_the_lineage_end(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    fill(path, 10)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM thread_spawn_edges")
        connection.executemany(
            "INSERT INTO thread_spawn_edges (child_thread_id, parent_thread_id) VALUES (?, ?)",
            [(thread_id(1), thread_id(2)), (thread_id(2), thread_id(1))],
        )
        page = run_steps(page_steps(Query(ancestor_id=thread_id(1), archived=False)), connection)
        assert set(ids(page.rows)) <= {thread_id(2)}
    shutil.rmtree(tmp_path, ignore_errors=True)
