"""The index knows which threads changed a file, whatever became of their rollouts."""

import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.search.changed_files import changes_in
from rollout.search.documents import lines_of
from rollout.search.patches import read_patches
from state.db.derived_columns import SORT_KEYS
from state.edit.archive import move_threads
from state.edit.move_plan import Action
from state.errors import InvalidCursor
from state.fulltext.changed_files import (
    ChangingThreads,
    all_changing_steps,
    changed_files_steps,
    thread_changes_steps,
)
from state.fulltext.due import VERSION, WITHOUT_CHANGES
from state.fulltext.indexer import fill_fulltext, forget_fulltext
from state.query.model import Query
from state.thread_index import ThreadIndex
from tests import FIXTURES
from tests.conftest import copy_corpus
from tests.samples.homes import encoded, event, file_name, lines, thread_id, write
from tests.support.checks import codes, repaired, synced, verified
from tests.support.effort import examples
from tests.support.indexes import in_index, rows

STAMP = "2026-05-28T21:00:00.000Z"
CHANGED = (
    "SELECT t.id, path, casefolded, kind, at_ms, locations FROM file_changes"
    " JOIN changed_files USING (file_id) JOIN threads t USING (row_id) ORDER BY t.id, path"
)


def patch(*names: str, call_id: str = "c", kind: str = "update", ok: bool = True) -> dict[str, Any]:
    """The event of a patch of files."""
    change = {"type": kind, "content": "x\n"}
    if kind == "update":
        change = {"type": kind, "unified_diff": f"@@ -1 +1 @@\n-{call_id}\n+new\n"}
    return event(
        STAMP,
        "patch_apply_end",
        call_id=call_id,
        turn_id="turn",
        stdout="Success. Updated the following files:\nM x\n",
        stderr="",
        success=ok,
        changes={f"/w/{name}": change for name in names},
        status="completed" if ok else "failed",
    )


def home_of(tmp_path: Path, *threads: Sequence[dict[str, Any]]) -> Path:
    """A home of threads with some lines behind their prompt."""
    home = tmp_path / "home"
    (home / "sessions").mkdir(parents=True)
    for number, more in enumerate(threads):
        write(home, number, encoded([*lines(number, f"prompt {number}"), *more]))
    return home


def filled(home: Path, index: Path) -> None:
    synced(home, index)
    in_index(home, index, fill_fulltext)


def found(home: Path, index: Path, name: str, count: int = 0, **fields: Any) -> ChangingThreads:
    """A page, or as many as have ``count`` threads."""
    query = Query(**fields)
    steps = all_changing_steps(name, query, count) if count else changed_files_steps(name, query)

    async def look(opened: ThreadIndex) -> ChangingThreads:
        return await opened.database.query(steps)

    page: ChangingThreads = in_index(home, index, look)
    return page


def numbers(page: ChangingThreads) -> list[int]:
    known = {thread_id(number): number for number in range(3000)}
    return [known[row["id"]] for row, _ in page.threads]


def patches(home: Path, index: Path, number: int, name: str) -> list[tuple[str, str | None]]:
    async def look(opened: ThreadIndex) -> list[tuple[str, str | None]]:
        there = await opened.database.query(thread_changes_steps(thread_id(number), name))
        return [(each.path, each.diff) for each in read_patches(home, *there)]

    read: list[tuple[str, str | None]] = in_index(home, index, look)
    return read


def test_threads_are_found_by_a_part_of_a_path(tmp_path: Path, index_path: Path) -> None:
    home = home_of(
        tmp_path,
        [patch("src/app.py"), patch("src/App_Test.py", kind="add")],
        [patch("readme.md")],
        [patch("src/app.py", ok=False)],
        [patch("straße/APP.py", kind="delete")],
    )
    filled(home, index_path)
    page = found(home, index_path, "App")
    assert numbers(page) == [3, 0]
    assert [(last.path, last.kind, last.changes) for _, last in page.threads] == [
        ("/w/straße/APP.py", "deleted", 1),
        ("/w/src/App_Test.py", "added", 2),
    ]
    assert page.unindexed == 0
    assert numbers(found(home, index_path, "src/app.py")) == [0]
    assert numbers(found(home, index_path, "STRASSE")) == [3]
    assert numbers(found(home, index_path, "/w/", descending=False)) == [0, 1, 3]
    assert numbers(found(home, index_path, "nowhere")) == []


def test_pages_follow_each_other(tmp_path: Path, index_path: Path) -> None:
    home = home_of(tmp_path, *([patch("app.py")] for _ in range(5)))
    write(home, 7, encoded([*lines(7), patch("app.py")]), archived=True)
    filled(home, index_path)
    first = found(home, index_path, "app", limit=2)
    second = found(home, index_path, "APP", limit=2, cursor=first.next_cursor)
    last = found(home, index_path, "app", limit=2, cursor=second.next_cursor)
    assert [numbers(page) for page in (first, second, last)] == [[4, 3], [2, 1], [0]]
    assert last.next_cursor is None
    assert numbers(found(home, index_path, "app", archived=True)) == [7]
    for other in ({"cursor": "x"}, {"cursor": first.next_cursor, "archived": True}):
        with pytest.raises(InvalidCursor):
            found(home, index_path, "app", **other)
    with pytest.raises(InvalidCursor):
        found(home, index_path, "ap", cursor=first.next_cursor)
    assert numbers(found(home, index_path, "app", 3, limit=2)) == [4, 3, 2]


def test_a_name_that_most_threads_have_is_found_in_the_order_of_the_list(
    tmp_path: Path, index_path: Path
) -> None:
    home = home_of(tmp_path, [patch("app.py")], [])
    filled(home, index_path)
    with closing(sqlite3.connect(index_path)) as connection:
        columns = [
            name
            for _, name, *_, hidden in connection.execute("PRAGMA table_xinfo(threads)")
            if not hidden
        ]
        values = {
            "row_id": "row_id + n",
            "id": "printf('%s%04x', substr(id, 1, 32), n)",
            **{f"{key}_ms": f"{key}_ms + n" for key in SORT_KEYS},
        }
        chosen = ", ".join(values.get(name, name) for name in columns)
        counted = (
            "WITH RECURSIVE c(n) AS (VALUES (10) UNION ALL SELECT n + 1 FROM c WHERE n < 2400)"
        )
        connection.execute(
            f"INSERT INTO threads ({', '.join(columns)}) {counted}"
            f" SELECT {chosen} FROM threads, c WHERE id = ?",
            [thread_id(0)],
        )
        connection.execute(
            "INSERT INTO file_changes SELECT t.row_id, file_id, kind, at_ms, locations"
            " FROM file_changes c, threads t WHERE t.row_id > 10 AND t.row_id % 7"
        )
        connection.commit()
        expected = connection.execute(
            "SELECT id FROM threads JOIN file_changes USING (row_id) ORDER BY recency_at_ms, id"
        ).fetchall()
    page = found(home, index_path, "app", 10_000, limit=100, descending=False)
    assert [(row["id"],) for row, _ in page.threads] == expected
    assert len(expected) > 2000


def test_the_patches_of_a_thread_are_read_from_its_rollout(
    tmp_path: Path, index_path: Path
) -> None:
    home = home_of(tmp_path, [patch("a", call_id="c1"), patch("b"), patch("a", call_id="c2")])
    filled(home, index_path)
    diffs = [("/w/a", f"@@ -1 +1 @@\n-{call}\n+new\n") for call in ("c1", "c2")]
    assert patches(home, index_path, 0, "/A") == diffs
    assert patches(home, index_path, 1, "/a") == []
    path = next(home.rglob("rollout-*.jsonl"))
    path.write_bytes(path.read_bytes()[:-300])
    assert patches(home, index_path, 0, "/a") == diffs[:1]
    path.unlink()
    assert patches(home, index_path, 0, "/a") == []


def test_a_reverted_thread_has_changes_in_several_files(tmp_path: Path, index_path: Path) -> None:
    """What was reverted has changed files all the same."""
    home = home_of(tmp_path)

    def numbered(entries: Sequence[dict[str, Any]], first: int) -> bytes:
        named = ({"ordinal": at, **one} for at, one in enumerate(entries, first))
        return encoded([*named])

    def begin(**more: Any) -> list[dict[str, Any]]:
        return lines(0, "prompt 0", history_mode="paginated", **more)[:1]

    write(home, 0, numbered([*begin(), patch("kept"), patch("reverted")], 0))
    base = {"thread_id": thread_id(0), "end_ordinal_exclusive": 2, "end_byte_offset": 0}
    write(home, 0, numbered([*begin(history_base=base), patch("later")], 2), segment=1)
    filled(home, index_path)
    (row,) = rows(index_path, "SELECT files FROM fulltext_threads")
    assert json.loads(row["files"]) == [
        f"sessions/2026/05/28/{file_name(0, segment)}" for segment in (None, 1)
    ]
    paths = [path for path, _ in patches(home, index_path, 0, "/w/")]
    assert paths == ["/w/kept", "/w/reverted", "/w/later"]
    assert "search_index_differs" not in codes(verified(home, index_path))


def printed(kind: str, call_id: str) -> dict[str, Any]:
    """What a tool said of a patch."""
    output = f"Success. Updated the following files:\n{kind} b\n"
    payload = {"type": "function_call_output", "call_id": call_id, "output": output}
    return {"timestamp": STAMP, "type": "response_item", "payload": payload}


actions = st.lists(
    st.one_of(
        st.builds(patch, st.sampled_from("abÄ"), call_id=st.sampled_from("123")),
        st.builds(patch, st.just("a"), st.just("b"), kind=st.just("add")),
        st.builds(patch, st.just("c"), ok=st.just(False)),
        st.builds(printed, st.sampled_from("AMD"), st.sampled_from("123")),
        st.just(event(STAMP, "thread_rolled_back", num_turns=1)),
        st.just(event(STAMP, "user_message", message="more")),
    ),
    max_size=5,
)


@examples(25)
@given(st.lists(actions, min_size=1, max_size=3), st.booleans())
def test_growing_threads_have_the_changes_that_their_files_have(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[dict[str, Any]]], older: bool
) -> None:
    folder = tmp_path_factory.mktemp("grown")
    home, index = home_of(folder, [], [patch("a")]), folder / "i.sqlite3"
    path = home / "sessions/2026/05/28" / file_name(0)
    synced(home, index)

    async def grow(opened: ThreadIndex) -> None:
        for step in steps:
            await fill_fulltext(opened)
            with path.open("ab") as file:
                file.write(encoded(step))
            await opened.catch_up()
        await fill_fulltext(opened)

    in_index(home, index, grow)
    if older:
        outdate(index)
        in_index(home, index, fill_fulltext)
    expected: dict[str, list[Any]] = {}
    for change in changes_in(home, [str(path.relative_to(home))]).changes:
        known = expected.setdefault(change.path, [change.kind, []])
        known[0] = change.kind
        known[1].append((change.file, change.offset))
    kinds = {"added": "A", "changed": "M", "deleted": "D"}
    stored = {
        row["path"]: [row["kind"], [*lines_of(row["locations"])]]
        for row in rows(index, CHANGED)
        if row["id"] == thread_id(0)
    }
    assert stored == {path: [kinds[kind], at] for path, (kind, at) in expected.items()}
    assert "search_index_differs" not in codes(verified(home, index))
    shutil.rmtree(folder)


# -- indexes of the version before -------------------------------------------------------------


def outdate(index: Path) -> None:
    """Leave an index as the version before changed files were indexed did."""
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM file_changes")
        connection.execute("UPDATE fulltext_threads SET version = ?", [WITHOUT_CHANGES])
        connection.execute("UPDATE fulltext_threads SET state = json_remove(state, '$.changes')")
        connection.commit()


def test_an_older_index_gets_changes_and_keeps_its_documents(
    tmp_path: Path, index_path: Path
) -> None:
    home = home_of(tmp_path, [patch("a")], [], [patch("b"), patch("a")])
    write(home, 3, encoded([*lines(3, history_mode="of the future"), patch("a")]))
    filled(home, index_path)
    changes = rows(index_path, CHANGED)
    documents = rows(index_path, "SELECT * FROM fulltext_documents ORDER BY document_id")
    threads = rows(index_path, "SELECT row_id, json(state) AS state FROM fulltext_threads")
    outdate(index_path)
    assert found(home, index_path, "a").unindexed == 4
    assert rows(index_path, "SELECT * FROM changed_files") == []
    in_index(home, index_path, fill_fulltext)
    assert rows(index_path, CHANGED) == changes
    assert rows(index_path, "SELECT * FROM fulltext_documents ORDER BY document_id") == documents
    again = rows(index_path, "SELECT row_id, json(state) AS state FROM fulltext_threads")
    assert again == threads
    assert numbers(found(home, index_path, "/a")) == [2, 0]
    assert "search_index_differs" not in codes(verified(home, index_path))
    versions = rows(index_path, "SELECT DISTINCT version FROM fulltext_threads")
    assert versions == [{"version": VERSION}]


def test_a_thread_that_has_grown_since_is_read_as_a_whole(tmp_path: Path, index_path: Path) -> None:
    home = home_of(tmp_path, [patch("a")])
    filled(home, index_path)
    outdate(index_path)
    with next(home.rglob("rollout-*.jsonl")).open("ab") as file:
        file.write(encoded([patch("b")]))
    filled(home, index_path)
    assert [row["path"] for row in rows(index_path, CHANGED)] == ["/w/a", "/w/b"]


def test_files_that_cannot_be_read_are_tried_again(tmp_path: Path, index_path: Path) -> None:
    home = home_of(tmp_path, [patch("a")], [patch("a")])
    filled(home, index_path)
    outdate(index_path)
    path = next(home.rglob(f"*{thread_id(1)}.jsonl"))
    aside = path.rename(tmp_path / "aside")
    in_index(home, index_path, fill_fulltext)  # the file has gone, which nobody has noticed yet
    page = found(home, index_path, "a")
    assert (numbers(page), page.unindexed) == ([0], 1)
    aside.rename(path)
    in_index(home, index_path, fill_fulltext)
    page = found(home, index_path, "a")
    assert (numbers(page), page.unindexed) == ([1, 0], 0)


def test_a_released_index_gets_its_changes(tmp_path: Path, index_path: Path) -> None:
    home = copy_corpus(tmp_path / "home")
    index_path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(FIXTURES / "indexes" / "v0017.sqlite3", index_path)
    filled(home, index_path)
    filled(home, tmp_path / "fresh.sqlite3")
    assert rows(index_path, CHANGED) == rows(tmp_path / "fresh.sqlite3", CHANGED)
    assert len(rows(index_path, CHANGED)) == 5


def test_what_a_deleted_thread_has_changed_is_forgotten(tmp_path: Path, index_path: Path) -> None:
    home = home_of(tmp_path, [patch("a"), patch("b")], [patch("a")])
    filled(home, index_path)

    async def delete(opened: ThreadIndex) -> None:
        await move_threads(opened, Action.DELETE, [thread_id(0)])

    in_index(home, index_path, delete)
    assert [row["id"] for row in rows(index_path, CHANGED)] == [thread_id(1)]
    assert [row["path"] for row in rows(index_path, "SELECT path FROM changed_files")] == ["/w/a"]


def test_a_rewritten_thread_has_other_changes(tmp_path: Path, index_path: Path) -> None:
    home = home_of(tmp_path, [patch("a"), patch("b")])
    filled(home, index_path)
    write(home, 0, encoded([*lines(0, "prompt 0"), patch("c")]))
    filled(home, index_path)
    assert [row["path"] for row in rows(index_path, CHANGED)] == ["/w/c"]
    in_index(home, index_path, forget_fulltext)
    assert rows(index_path, "SELECT * FROM changed_files") == []
    in_index(home, index_path, fill_fulltext)
    assert [row["path"] for row in rows(index_path, CHANGED)] == ["/w/c"]


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE file_changes SET locations = x'00'",
        "UPDATE file_changes SET locations = x''",
        "UPDATE file_changes SET locations = x'0100000000000000'",
        "UPDATE changed_files SET path = '/w/other'",
        "DELETE FROM file_changes",
        "INSERT INTO changed_files (path) VALUES ('/w/nobody')",
    ],
)
def test_wrong_changes_are_found_and_mended(tmp_path: Path, index_path: Path, harm: str) -> None:
    home = home_of(tmp_path, [patch("a")], [patch("a")])
    filled(home, index_path)
    assert codes(verified(home, index_path)) == {}
    right = rows(index_path, CHANGED)
    with closing(sqlite3.connect(index_path)) as connection:
        connection.execute(harm)
        connection.commit()
    assert set(codes(verified(home, index_path))) == {"search_index_differs"}
    repaired(home, index_path)
    assert codes(verified(home, index_path)) == {}
    in_index(home, index_path, fill_fulltext)
    assert rows(index_path, CHANGED) == right
    assert len(rows(index_path, "SELECT * FROM changed_files")) == 1
