"""The index and its lists against the recorded answers of the real Codex 0.169.0.

Every difference is in one of the tables here, and in docs/differences.md with its reason.
"""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from state.errors import InvalidCursor
from state.query.model import Query
from state.query.rows import Row
from state.query.thread_json import thread_json
from state.thread_index import ThreadIndex, open_index
from tests.samples.gold import GOLD_HOME, exchanges, gold, list_names, same_text
from tests.support.each import each

BARE_ERA = 12  # threads of 0.8 to 0.29, which Codex itself does not list
PRODUCT_COLUMNS = {
    "has_user_event",
    "is_pinned",
    "thread_section_id",
    "section_position",
    "section_entered_at_ms",
    "project_id",
    "daybreak_enabled",
    "creator_user_id",
    "creator_account_id",
}
MODE_ERA = {"model", "reasoning_effort", "approval_mode", "sandbox_policy"}


def rows_of(index: Path, sql: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(index)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


def is_mode_era(row: dict[str, Any]) -> bool:
    """Whether the turn contexts have ``sandbox_policy.mode``, which Codex cannot read now."""
    version = str(row["cli_version"]).split(".")
    return (int(version[0]), int(version[1])) < (0, 60)


def test_every_thread_of_codex_has_a_row_and_only_the_bare_era_is_added(
    corpus_index: Path,
) -> None:
    ours = {row["id"]: row for row in rows_of(corpus_index, "SELECT * FROM threads")}
    theirs = {row["id"] for row in gold("threads.json")}
    assert theirs <= set(ours)
    added = [ours[id_] for id_ in set(ours) - theirs]
    assert len(added) == BARE_ERA
    assert {row["cli_version"] for row in added} == {""}
    assert all(row["preview"] for row in added)


def test_every_column_equals_that_of_codex(corpus_index: Path) -> None:
    ours = {row["id"]: row for row in rows_of(corpus_index, "SELECT * FROM threads")}
    compared = 0
    different = []
    for recorded in gold("threads.json"):
        row = ours[recorded["id"]]
        for column in recorded.keys() - PRODUCT_COLUMNS:
            value = row[column]
            if column == "rollout_path":
                value = f"{GOLD_HOME}/{value}"
            if column in MODE_ERA and is_mode_era(recorded) and value != recorded[column]:
                assert value is not None
                continue
            if column == "name" or column.startswith("recency_at"):
                continue  # test_names_come_from_the_session_index, test_recency_is_…
            compared += 1
            if not same_text(recorded[column], value):
                different.append((recorded["id"], column, recorded[column], value))
    assert different == []
    assert compared > 5600


def test_recency_is_what_the_database_has_that_wrote_the_threads(corpus_index: Path) -> None:
    """Its clock goes on between a turn's start and the row: by up to a tenth of a second."""
    ours = {row["id"]: row for row in rows_of(corpus_index, "SELECT * FROM threads")}
    live = gold("live_recency.json")
    assert len(live) == 57
    different = {
        id_: (recency_ms, ours[id_]["recency_at_ms"])
        for id_, recency_ms in live.items()
        if abs(recency_ms - ours[id_]["recency_at_ms"]) > 100
    }
    assert different == {}


def test_names_come_from_the_session_index(corpus_index: Path) -> None:
    named = rows_of(corpus_index, "SELECT id, name FROM threads WHERE name IS NOT NULL")
    assert len(named) == 9
    assert {"id": "019c5903-6b45-7472-9cf9-cd56e01d16a4", "name": "Second näme 🎉"} in named


def test_spawn_edges_equal_those_of_codex(corpus_index: Path) -> None:
    ours = rows_of(
        corpus_index, "SELECT parent_thread_id, child_thread_id, status FROM thread_spawn_edges"
    )
    theirs = gold("thread_spawn_edges.json")
    assert sorted(map(repr, map(sorted, (o.items() for o in ours)))) == sorted(
        map(repr, map(sorted, (t.items() for t in theirs)))
    )


def test_dynamic_tools_are_kept_where_codex_loses_them(corpus_index: Path) -> None:
    assert gold("thread_dynamic_tools.json") == []
    tools = rows_of(
        corpus_index,
        "SELECT position, namespace, name, defer_loading FROM thread_dynamic_tools"
        " WHERE thread_id = '01a1d6da-7c28-7de2-80db-58b59f9df5d1' ORDER BY position",
    )
    assert [(tool["namespace"], tool["name"]) for tool in tools] == [
        (None, "lookup_ticket"),
        (None, "send_note"),
        ("crm", "lookup_customer"),
    ]


def query_of(params: dict[str, Any]) -> Query:
    """Our query for a recorded request; Codex's default provider has to be named."""
    providers = params.get("modelProviders")
    lineage = params.get("parentThreadId") or params.get("ancestorThreadId")
    if providers is None:
        providers = [] if lineage else ["mock"]
    cwd = params.get("cwd")
    return Query(
        sort_key=params.get("sortKey", "created_at"),
        descending=params.get("sortDirection", "desc") == "desc",
        limit=params.get("limit", 25),
        archived=bool(params.get("archived")),
        source_kinds=tuple(params.get("sourceKinds") or ()),
        providers=tuple(providers),
        cwds=None if cwd is None else tuple([cwd] if isinstance(cwd, str) else cwd),
        search=params.get("searchTerm"),
        parent_id=params.get("parentThreadId"),
        ancestor_id=params.get("ancestorThreadId"),
        excluded_ids=tuple(params.get("excludedThreadIds") or ()),
    )


Listed = dict[str, list[Row]]


async def walk(index: ThreadIndex, query: Query) -> list[Row]:
    """All rows of a list, page by page."""
    page = await index.page(query)
    rows = list(page.rows)
    while page.next_cursor is not None:
        page = await index.page(replace(query, cursor=page.next_cursor))
        rows += page.rows
    return rows


@pytest.fixture(scope="module")
def listed(corpus_home: Path, corpus_index: Path) -> Listed:
    """What we list for each recorded request."""

    async def found() -> Listed:
        async with open_index(corpus_home, corpus_index) as index:
            asked = {name: query_of(exchanges(name)[0][0]) for name in LISTS}
            return {name: await walk(index, query) for name, query in asked.items()}

    return asyncio.run(found())


LISTS = [name for name in list_names() if name != "list_badcursor.json"]


def test_lists_hold_the_threads_that_codex_lists_in_its_order(listed: Listed) -> None:
    each(LISTS, lambda name: holds_the_same(name, listed[name]))


def holds_the_same(name: str, rows: list[Row]) -> None:
    """A list's threads are those of Codex's, in its order."""
    recorded = exchanges(name)
    params = recorded[0][0]
    theirs = [thread for _, response in recorded for thread in response["result"]["data"]]
    whole = recorded[-1][1]["result"]["nextCursor"] is None
    by_recency = params.get("sortKey") == "recency_at"  # there by mtime, as after any backfill
    # Threads that only we list: of the bare era, and those that begin with an agent's message.
    rows = [row for row in rows if row["preview"] and row["cli_version"]]
    ours = [row["id"] for row in rows]
    # A scan shows a reverted thread once a file, in any of their places.
    scanned = [thread["id"] for thread in theirs]
    ours = ours if whole else ours[: len(scanned)]
    repeated = {id_ for id_ in scanned if scanned.count(id_) > 1}
    # A scan of folders compares the cwd at the start, we and Codex's database the latest.
    moved = {"01a1d021-56cb-7af2-b1c9-67ef95a31eff"} if params.get("cwd") else set()
    if not whole and repeated:
        assert set(scanned) <= set(ours) | repeated
        return
    if params.get("searchTerm"):
        # Ours is case-insensitive: it finds all that Codex finds, and more.
        assert [id_ for id_ in ours if id_ in scanned] == scanned
        return
    if by_recency:
        assert set(ours) == set(scanned)
    elif repeated or moved:
        assert set(ours) - moved == set(scanned) - moved
        assert [i for i in ours if i not in repeated | moved] == [
            i for i in scanned if i not in repeated | moved
        ]
    else:
        assert ours == scanned


# What our Thread objects say otherwise, and why: see docs/differences.md.
KNOWN_BETTER = {"forkedFromId", "parentThreadId", "threadSource", "sessionId", "name"}


def test_listed_threads_have_the_fields_that_codex_gives(listed: Listed, corpus_home: Path) -> None:
    names = [name for name in LISTS if "statedbonly" in name]
    each(names, lambda name: has_the_fields(name, listed[name], corpus_home))


def has_the_fields(name: str, rows: list[Row], corpus_home: Path) -> None:
    """The threads of a list are those of Codex's in every field, or known to be better."""
    recorded = exchanges(name)
    ours = {row["id"]: thread_json(row, corpus_home) for row in rows}
    compared = 0
    for _, response in recorded:
        for theirs in response["result"]["data"]:
            mine = ours[theirs["id"]]
            assert mine.keys() == theirs.keys()
            mine["path"] = mine["path"].replace(str(corpus_home), GOLD_HOME)
            for key, value in theirs.items():
                compared += 1
                if same_text(value, mine[key]):
                    continue
                if key in KNOWN_BETTER:
                    assert value is None or key == "sessionId"
                elif key == "recencyAt":
                    assert mine["createdAt"] <= mine[key]
                else:
                    assert key in {"model", "reasoningEffort"}
                    assert is_mode_era({"cli_version": theirs["cliVersion"]})
    assert compared > 100


def test_a_cursor_that_is_none_is_refused_with_the_text_of_codex(
    corpus_home: Path, corpus_index: Path
) -> None:
    [(params, response)] = exchanges("list_badcursor.json")
    query = replace(query_of({}), cursor=params["cursor"])

    async def asked() -> None:
        async with open_index(corpus_home, corpus_index) as index:
            await index.page(query)

    with pytest.raises(InvalidCursor) as caught:
        asyncio.run(asked())
    assert str(caught.value).startswith(response["error"]["message"])
