"""A page that is said to be right before all files are read is the page of the whole home."""

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollout.files.scan import scan_home
from state.db.derived_columns import SORT_KEYS
from state.query.model import Page, Query
from state.query.settled import lengthened, missing_steps
from state.sync.unread import Unread
from state.thread_index import ThreadIndex
from tests.support.command import thread_id
from tests.support.effort import examples
from tests.support.indexes import empty_index, in_index

DAY_S = 86_400
BEGIN_S = 1_790_000_000

FILES = st.lists(
    st.fixed_dictionaries(
        {
            "thread": st.integers(0, 9),
            "created": st.integers(0, 20),
            "turn": st.integers(0, 10) | st.none(),
            "changed": st.integers(0, 10),
            "archived": st.booleans(),
            "base": st.integers(0, 9) | st.none(),
            "cwd": st.sampled_from(["/a", "/b"]),
            "origin": st.sampled_from(["", "host:a", "host:c"]),
            "set_back": st.just(value=False) | st.booleans(),
        }
    ),
    min_size=3,
    max_size=14,
)
QUERIES = [
    Query(sort_key=key, limit=limit, **filters)
    for key in SORT_KEYS
    for limit, filters in ((1, {}), (3, {}), (2, {"cwds": ("/a",)}), (1, {"archived": True}))
] + [Query(sort_key="recency_at", since_ms=(BEGIN_S + hours * 3600) * 1000) for hours in (15, 22)]
QUERIES.append(Query(sort_key="recency_at", limit=1, projects=("c",)))


def write_file(home: Path, at: int, file: dict[str, Any]) -> None:
    """A file that was created so many hours after the beginning, had a turn so many hours later if
    any, and changed so many hours after that; or seems to have changed long before."""
    created = BEGIN_S + file["created"] * 3600 + at
    turn = created + (file["turn"] or 0) * 3600
    id_ = thread_id(file["thread"])
    meta = {"id": id_, "timestamp": stamp(created), "cwd": file["cwd"], "source": "cli"}
    if file["origin"]:
        meta |= {"git": {"repository_url": file["origin"]}}
    if file["base"] is not None:
        base = thread_id(file["base"])
        meta |= {"history_mode": "paginated", "history_base": {"thread_id": base}}
    lines = [{"timestamp": stamp(created), "type": "session_meta", "payload": meta}]
    if file["turn"] is not None:
        prompt = {"type": "user_message", "message": f"hello {at}", "images": []}
        lines.append({"timestamp": stamp(turn), "type": "event_msg", "payload": prompt})
    name = f"rollout-{stamp(created)[:19].replace(':', '-')}-{id_}.jsonl"
    day = stamp(created)[:10].replace("-", "/")
    folder = home / ("archived_sessions" if file["archived"] else f"sessions/{day}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    changed = created - 40 * DAY_S if file["set_back"] else turn + file["changed"] * 3600
    os.utime(path, (changed, changed))


def stamp(seconds: int) -> str:
    """A time as Codex writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def made(
    thread: int,
    created: int,
    turn: int | None = 0,
    base: int | None = None,
    origin: str = "",
) -> dict[str, Any]:
    """A file that :func:`write_file` takes."""
    file = {"thread": thread, "created": created, "turn": turn, "base": base}
    return file | {
        "changed": 0,
        "archived": False,
        "set_back": False,
        "cwd": "/a",
        "origin": origin,
    }


FORK_WITHOUT_A_MESSAGE = [made(0, 20, None, base=1), made(1, 0), made(2, 9), made(3, 8), made(4, 7)]
"""It is empty, and not listed, until the old file is read in which it begins."""


NEWEST_ORIGIN_UNREAD = [
    made(0, 9, 9, origin="host:c"),
    made(2, 8, 9, origin="host:c"),
    made(1, 10, 0, origin="host:a"),
]
"""The threads that were used last have an older origin of their folder."""


@examples(25)
@example(files=NEWEST_ORIGIN_UNREAD, in_order=True)
@example(files=FORK_WITHOUT_A_MESSAGE, in_order=True)
@given(files=FILES, in_order=st.booleans())
def test_no_unread_file_changes_a_page_that_is_right(
    files: list[dict[str, Any]], in_order: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("settled")
    home = base / "home"
    for at, file in enumerate(files):
        write_file(home, at, file)
    found = list(scan_home(home))
    if in_order:
        found = list(Unread.sorted(found).files)

    async def scenario(index: ThreadIndex) -> int:
        early: list[tuple[Query, Page, int]] = []
        for start in range(len(found)):
            unread = Unread.sorted(found[start:])
            for query in QUERIES:
                page = await index.page(query)
                missing = await index.database.query(missing_steps(query, page, unread))
                assert missing is None or set(missing) <= {*unread.ids()}
                if missing is None:
                    early.append((query, page, start))
            await index.refresh([found[start].path])
        await index.sync()
        for query, page, start in early:
            now = await index.page(query)
            assert now.rows == page.rows, (query, start)
            assert now.next_cursor in (page.next_cursor, None)
        return len(early)

    try:
        empty_index(base / "index.sqlite3")
        in_index(home, base / "index.sqlite3", scenario)
    finally:
        shutil.rmtree(base)


def test_a_short_id_is_unique_among_the_names_of_unread_files(tmp_path: Path) -> None:
    for number in range(3):
        write_file(tmp_path, number, made(number, 1))
    unread = Unread.sorted(list(scan_home(tmp_path)))
    short = lengthened({thread_id(1): thread_id(1)[:8], "ffffffff-0000": "ffffffff"}, unread)
    assert short == {thread_id(1): thread_id(1)[:13], "ffffffff-0000": "ffffffff"}
