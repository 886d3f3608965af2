"""An index of invented rows, and the list of a query by plain Python over all of them."""

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from rollout.schema.session_source import (
    INTERACTIVE_KINDS,
    SOURCE_KINDS,
    kinds_selected,
    source_kind,
)
from state.db.database import open_database
from state.db.derived_columns import SORT_KEYS, Facet, searchable
from state.query.model import Query
from state.userdata.folders import cwd_key
from tests.samples.homes import thread_id

PROVIDERS = ["openai", "mock", "ac|me"]
CWDS = ["/work/a", "/work/b", "/work/c", "/work/c/sub", "/work/c-2", "/tree/x/c", "C:/Work/A"]
MODELS = ["gpt-5", "gpt-5-codex", "gpt-5.1", None, "o[4]"]
BRANCHES = ["main", "feature/a", "feature/b", None]
SOURCES = [
    "cli",
    "vscode",
    "exec",
    "mcp",
    "unknown",
    '{"custom":"atlas"}',
    '{"custom":"other"}',
    '{"subagent":"review"}',
    '{"subagent":"compact"}',
    '{"subagent":"memory_consolidation"}',
    '{"subagent":{"other":"x"}}',
    '{"internal":"guardian"}',
]
WORDS = ["Fix the Parser", "100% sure_", "über STRASSE", "list threads", "日本語の題"]


def fill(path: Path, count: int, seed: int = 1) -> None:
    """An index of ``count`` invented rows, many of one millisecond."""

    async def make() -> None:
        async with open_database(path):
            pass

    asyncio.run(make())
    chance = random.Random(seed)
    with closing(sqlite3.connect(path)) as connection:
        columns = [
            *("id", "rollout_path", "created_at_ms", "updated_at_ms", "recency_at_ms"),
            *("source", "source_kind", "model_provider", "cwd", "cwd_key", "title", "preview"),
            *("search_text", "sandbox_policy", "approval_mode", "archived", "history_mode"),
            *("size_bytes", "mtime_ns", "inode", "flags"),
            *("extractor_version", "attached_thread_parent_id", "facet"),
            *("model", "git_branch", "tokens_used"),
        ]
        rows = []
        for number in range(count):
            source = chance.choice(SOURCES[:2] * 8 + SOURCES)
            title = f"{chance.choice(WORDS)} #{number}"
            preview = "" if chance.random() < 0.02 else title
            archived = int(chance.random() < 0.1)
            cwd = chance.choice(CWDS)
            times = [chance.randrange(count // 3 + 1) for _ in range(3)]
            attached = thread_id(0) if chance.random() < 0.02 else None
            provider = chance.choice(PROVIDERS)
            facet = Facet(
                bool(archived), not preview, attached is not None, source_kind(source), provider
            )
            rows.append(
                (
                    *(thread_id(number), f"sessions/{number}", *times),
                    *(source, source_kind(source), provider, cwd, cwd_key(cwd)),
                    *(preview, preview, searchable(preview), "{}", "never", archived, "legacy"),
                    *(chance.randrange(5000), 1, 1, 0, 1, attached, facet.encode()),
                    *(chance.choice(MODELS), chance.choice(BRANCHES), chance.randrange(5000)),
                )
            )
        marks = ",".join("?" * len(columns))
        connection.executemany(f"INSERT INTO threads ({','.join(columns)}) VALUES ({marks})", rows)
        edges = [(thread_id(n), thread_id(n // 4)) for n in range(1, min(count, 200))]
        connection.executemany(
            "INSERT INTO thread_spawn_edges (child_thread_id, parent_thread_id) VALUES (?, ?)",
            edges,
        )
        connection.execute("INSERT INTO thread_titles (thread_titles) VALUES ('rebuild')")
        connection.executemany("INSERT INTO user_data VALUES (?, ?, ?, 1)", _marks(count))
        connection.commit()


def _marks(count: int) -> Iterator[tuple[str, str, str | None]]:
    """User data of invented threads, and of some that there are not: most have the tag ``most``,
    one in a hundred ``few``."""
    chance = random.Random(2)
    for number in range(count + 20):
        id_ = thread_id(number)
        for key, likely in (("tag:most", 0.7), ("tag:some", 0.2), ("tag:few", 0.01)):
            if chance.random() < likely:
                yield id_, key, "1" if chance.random() < 0.9 else None
        if chance.random() < 0.1:
            yield id_, "pinned", chance.choice(["1", "1", None])
        if chance.random() < 0.5:
            yield id_, "status", chance.choice(["todo", *["done"] * 8, None])
        if chance.random() < 0.1:
            yield id_, "note", chance.choice(["a note", None])


@cache
def stored(connection: sqlite3.Connection) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """All threads of an index that does not change, and the parents of those that have one."""
    connection.row_factory = sqlite3.Row
    rows = [dict(row) for row in connection.execute("SELECT * FROM threads")]
    marks: dict[str, dict[str, str]] = {}
    set_ = "SELECT thread_id, key, value FROM user_data WHERE value NOT NULL"
    for id_, key, value in connection.execute(set_):
        marks.setdefault(id_, {})[key] = value
    for row in rows:
        row["marks"] = marks.get(row["id"], {})
    edges = dict(
        connection.execute("SELECT child_thread_id, parent_thread_id FROM thread_spawn_edges")
    )
    connection.row_factory = None
    return rows, edges


def chosen(row: dict[str, Any], query: Query) -> bool:
    """Whether what the row has in its columns is what the query chooses."""
    folder, time_ms = row["cwd"], row[f"{query.sort_key}_ms"]
    values = (row["model"], query.models), (row["git_branch"], query.branches)
    return (
        (query.cwds is None or folder in query.cwds)
        and (not query.folders or any(f"{folder}/".startswith(f"{f}/") for f in query.folders))
        and (not query.projects or bool({*folder.lower().split("/")} & {*query.projects}))
        and all(
            not wanted or any(fnmatchcase(v or "\0", w) for w in wanted) for v, wanted in values
        )
        and all(f"tag:{tag}" in row["marks"] for tag in query.tags)
        and query.pinned in (None, "pinned" in row["marks"])
        and (not query.statuses or row["marks"].get("status") in query.statuses)
        and row["tokens_used"] >= query.min_tokens
        and row["size_bytes"] >= query.min_size
        and (query.since_ms or 0) <= time_ms < (query.until_ms or 1000)
    )


def expected(connection: sqlite3.Connection, query: Query) -> list[str]:
    """The whole list, by plain Python over all rows."""
    rows, edges = stored(connection)

    def ancestors(id_: str) -> Iterator[str]:
        while id_ in edges:
            id_ = edges[id_]
            yield id_

    lineage = query.parent_id or query.ancestor_id
    found = []
    for row in rows:
        kinds = kinds_selected(list(query.source_kinds))
        if query.source_kinds:
            fits = row["source_kind"] in kinds
        else:
            fits = bool(query.all_sources or lineage) or row["source_kind"] in INTERACTIVE_KINDS
        if not fits or row["archived"] != query.archived:
            continue
        if not lineage and not row["preview"]:
            continue
        if row["attached_thread_parent_id"] and not (query.all_sources or lineage):
            continue
        if query.providers and row["model_provider"] not in query.providers:
            continue
        if not chosen(row, query):
            continue
        if query.search is not None and query.search.casefold() not in row["title"].casefold():
            continue
        if query.parent_id and edges.get(row["id"]) != query.parent_id:
            continue
        if query.ancestor_id and query.ancestor_id not in ancestors(row["id"]):
            continue
        if row["id"] in query.excluded_ids:
            continue
        if query.included_ids is not None and row["id"] not in query.included_ids:
            continue
        found.append((row[f"{query.sort_key}_ms"], row["id"]))
    return [id_ for _, id_ in sorted(found, reverse=query.descending)]


def some(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    """A few of these, mostly none."""
    return st.just(()) | st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)


QUERIES = (
    st.builds(
        Query,
        sort_key=st.sampled_from(SORT_KEYS),
        descending=st.booleans(),
        limit=st.integers(1, 100),
        archived=st.booleans(),
        source_kinds=st.lists(st.sampled_from(SOURCE_KINDS), max_size=2).map(tuple),
        all_sources=st.booleans(),
        providers=st.lists(st.sampled_from([*PROVIDERS, "none"]), max_size=2).map(tuple),
        cwds=st.none()
        | st.lists(st.sampled_from([*CWDS, "/no"]), max_size=3, unique=True).map(tuple),
        folders=some("/work", "/work/c", "/tree/x", "C:/Work", "/no"),
        projects=some("c", "a", "x", "work", "no"),
        models=some("gpt-5", "gpt-5*", "*codex*", "none"),
        branches=some("main", "feature/*", "*a*", "none"),
        tags=some("most", "some", "few", "none", "MOST"),
        pinned=st.sampled_from([None, None, None, True, False]),
        statuses=some("todo", "done", "waiting"),
        min_tokens=st.sampled_from([0, 0, 1, 2500, 4900, 9999]),
        min_size=st.sampled_from([0, 0, 2500, 4900]),
        since_ms=st.none() | st.integers(1, 110),
        until_ms=st.none() | st.integers(1, 110),
        search=st.none()
        | st.sampled_from(["parser", "%", "_", "e", "STRASSE", "題", "#12", "", "zz"]),
        excluded_ids=st.lists(st.integers(0, 299).map(thread_id), max_size=5).map(tuple),
        included_ids=st.none()
        | st.lists(st.integers(0, 299).map(thread_id), max_size=60, unique=True).map(tuple),
    )
    | st.builds(
        Query,
        sort_key=st.sampled_from(SORT_KEYS),
        descending=st.booleans(),
        limit=st.integers(1, 20),
        parent_id=st.integers(0, 60).map(thread_id),
    )
    | st.builds(Query, limit=st.integers(1, 20), ancestor_id=st.integers(0, 60).map(thread_id))
)
