"""What users set, as a dump: it can be merged anywhere, any number of times."""

import asyncio
import io
import itertools
import json
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.db.location import journal_path
from state.errors import BadDump, DumpTooNew, FileUnusable, IndexTooNew
from state.query.marks import NO_MARKS, Marks, marks_steps, with_mark
from state.query.model import Query
from state.repair.dump import (
    BATCH_SETTINGS,
    Restored,
    dump_lines,
    known_user_data,
    read_dump,
    restore,
)
from state.repair.reindex import reindex
from state.thread_index import open_index
from state.userdata.journal import append_settings, read_settings
from state.userdata.model import FolderAlias, Setting, UserValue
from tests.samples.homes import thread_id, write
from tests.support.checks import synced, verified
from tests.support.effort import examples
from tests.support.indexes import empty_index, in_index

NAMED = UserValue(thread_id(1), "name", "mine", 50)
MOVED = FolderAlias("/work/old", "/srv/new", 60)
UNNAMED = UserValue(thread_id(2), "name", None, 70)
HEADER = b'{"format": "threadkeep-facts", "version": 1}\n'


def dumped(path: Path) -> bytes:
    """The dump of an index."""
    given, _ = asyncio.run(known_user_data(path))
    return "".join(f"{line}\n" for line in dump_lines(given)).encode()


def restored(home: Path, path: Path, given: Sequence[Setting]) -> Restored:
    """Restore into an index, which is made when need be."""

    async def work() -> Restored:
        async with open_index(home, path) as index:
            return await restore(index.database, home, given)

    return asyncio.run(work())


def names(home: Path, path: Path) -> dict[str, str | None]:
    """The names in a list of an index in step."""

    async def work() -> dict[str, str | None]:
        async with open_index(home, path) as index:
            await index.catch_up()
            page = await index.page(Query(limit=100))
            return {row["id"]: row["name"] for row in page.rows}

    return asyncio.run(work())


def test_a_dump_names_its_format_and_is_in_an_order_of_its_own() -> None:
    given: list[Setting] = [UNNAMED, NAMED, UserValue(thread_id(1), "name", "before", 49), MOVED]
    lines = list(dump_lines(given))
    assert lines[0] + "\n" == HEADER.decode()
    assert [json.loads(line) for line in lines[1:]] == [
        {"v": 1, "alias": "/work/old", "value": "/srv/new", "set_at_ms": 60},
        {"v": 1, "thread_id": thread_id(1), "key": "name", "value": "mine", "set_at_ms": 50},
        {"v": 1, "thread_id": thread_id(2), "key": "name", "value": None, "set_at_ms": 70},
    ]
    assert list(dump_lines(reversed(given))) == lines


def test_a_dump_read_again_is_the_same(index_path: Path) -> None:
    text = UserValue(thread_id(3), "name", 'a "b"\n\u2028 ✓ \U0001f680', -5)
    given: list[Setting] = [NAMED, MOVED, UNNAMED, text]
    lines = list(dump_lines(given))
    assert len(lines) == 5
    found = read_dump(io.BytesIO("\n".join(lines).encode()))
    assert list(dump_lines(found)) == lines
    assert set(found) == set(given)


@pytest.mark.parametrize(
    ("content", "line", "offset", "reason"),
    [
        (b"", 1, 0, "it is empty"),
        (b"\n\n", 1, 0, "it is empty"),
        (b"null\n", 1, 0, "a dump begins with"),
        (b"{}\n", 1, 0, "a dump begins with"),
        (b'{"format": "other", "version": 1}\n', 1, 0, "a dump begins with"),
        (b'{"format": "threadkeep-facts", "version": 0}\n', 1, 0, "a dump begins with"),
        (b'{"format": "threadkeep-facts"}\n', 1, 0, "a dump begins with"),
        (b'{"format": "threadkeep-facts", "version": true}\n', 1, 0, "a dump begins with"),
        (b"\x00\xff garbage", 1, 0, "not valid JSON"),
        (HEADER + b'{"v": 1}\n', 2, len(HEADER), "no setting that this version knows"),
        (HEADER + b"5\n", 2, len(HEADER), "no setting that this version knows"),
        (HEADER + b"null\n", 2, len(HEADER), "no setting that this version knows"),
        (HEADER + b'{"torn": "', 2, len(HEADER), "not valid JSON"),
        (HEADER + b"\n \n{}\n", 4, len(HEADER) + 3, "no setting that this version knows"),
        (
            HEADER + b'{"v": 1, "thread_id": "x", "key": "name", "value": "", "set_at_ms": 1}\n',
            2,
            len(HEADER),
            "no setting that this version knows",
        ),
        (
            HEADER + b'{"v": 1, "alias": "/a", "value": "\\ud800", "set_at_ms": 1}\n',
            2,
            len(HEADER),
            "not valid JSON",
        ),
        (
            HEADER + b'{"v": 1, "alias": "/a", "value": "/b", "set_at_ms": 9223372036854775808}\n',
            2,
            len(HEADER),
            "no setting that this version knows",
        ),
    ],
)
def test_a_line_that_cannot_be_used_is_named(
    content: bytes, line: int, offset: int, reason: str
) -> None:
    with pytest.raises(BadDump, match=reason) as caught:
        read_dump(io.BytesIO(content))
    assert (caught.value.line, caught.value.offset) == (line, offset)


def test_a_dump_of_a_newer_version_is_refused_whatever_follows() -> None:
    with pytest.raises(DumpTooNew, match=r"version 2; .* up to 1"):
        read_dump(io.BytesIO(b'{"format": "threadkeep-facts", "version": 2}\n{"new": "kind"}\n'))


def test_restoring_twice_is_restoring_once(home: Path, index_path: Path) -> None:
    for number in (1, 2, 3):
        write(home, number)
    synced(home, index_path)
    assert restored(home, index_path, [NAMED, MOVED, UNNAMED]) == Restored(set=3)
    first = dumped(index_path), journal_path(index_path).read_bytes()
    assert len(first[1].splitlines()) == 3
    assert restored(home, index_path, read_dump(io.BytesIO(first[0]))) == Restored(equal=3)
    assert (dumped(index_path), journal_path(index_path).read_bytes()) == first
    assert names(home, index_path)[thread_id(1)] == "mine"
    assert verified(home, index_path).kept == []


def test_the_newer_of_two_settings_counts(home: Path, index_path: Path) -> None:
    write(home, 1)
    synced(home, index_path)
    restored(home, index_path, [NAMED, MOVED])
    older: list[Setting] = [
        UserValue(thread_id(1), "name", "older", 49),
        FolderAlias("/work/old/", "/older", 59),
    ]
    assert restored(home, index_path, older) == Restored(older=2)
    assert names(home, index_path) == {thread_id(1): "mine"}
    other = [UserValue(thread_id(1), "name", "other", 50)]
    assert restored(home, index_path, other) == Restored(equal=1)
    assert names(home, index_path) == {thread_id(1): "mine"}
    newer: list[Setting] = [
        UserValue(thread_id(1), "name", "newer", 51),
        FolderAlias("/work/old/", "/newer", 61),
    ]
    assert restored(home, index_path, newer) == Restored(set=2)
    assert names(home, index_path) == {thread_id(1): "newer"}
    assert set(read_settings(index_path)) == set(newer)
    assert b"/newer" in dumped(index_path)
    assert b"/srv/new" not in dumped(index_path)
    assert verified(home, index_path).kept == []


def test_a_name_that_is_taken_back_gives_way_to_the_one_of_the_home(
    home: Path, index_path: Path
) -> None:
    write(home, 1)
    theirs = {"id": thread_id(1), "thread_name": "theirs", "updated_at": "1970-01-01T00:00:00Z"}
    (home / "session_index.jsonl").write_text(json.dumps(theirs) + "\n")
    synced(home, index_path)
    restored(home, index_path, [NAMED])
    assert names(home, index_path) == {thread_id(1): "mine"}
    restored(home, index_path, [UserValue(thread_id(1), "name", None, 51)])
    assert names(home, index_path) == {thread_id(1): "theirs"}
    assert verified(home, index_path).kept == []


def test_settings_wait_for_threads_that_are_not_indexed_yet(home: Path, index_path: Path) -> None:
    restored(home, index_path, [NAMED, UserValue(thread_id(2), "colour", "blue", 1)])
    synced(home, index_path)
    write(home, 1)
    assert names(home, index_path) == {thread_id(1): "mine"}
    assert b"blue" in dumped(index_path)


def test_many_settings_go_in_batches_and_each_once(home: Path, index_path: Path) -> None:
    for number in (1, 2 * BATCH_SETTINGS):
        write(home, number)
    synced(home, index_path)
    many: list[Setting] = [
        UserValue(thread_id(number), "name", f"name {number}", number)
        for number in range(1, 2 * BATCH_SETTINGS + 2)
    ]
    many.append(MOVED)
    assert restored(home, index_path, many) == Restored(set=len(many))
    assert len(journal_path(index_path).read_bytes().splitlines()) == len(many)
    assert names(home, index_path) == {
        thread_id(number): f"name {number}" for number in (1, 2 * BATCH_SETTINGS)
    }
    assert restored(home, index_path, many) == Restored(equal=len(many))


def test_what_only_the_journal_holds_gets_into_the_index_and_is_dumped(
    home: Path, index_path: Path
) -> None:
    """As after a crash between the two."""
    write(home, 1)
    synced(home, index_path)
    append_settings(index_path, [NAMED])
    assert b'"mine"' in dumped(index_path)
    older = UserValue(thread_id(1), "name", "older", 49)
    assert restored(home, index_path, [older]) == Restored(older=1)
    assert names(home, index_path) == {thread_id(1): "mine"}
    assert len(journal_path(index_path).read_bytes().splitlines()) == 1


def test_a_dump_moves_everything_to_another_index(
    home: Path, index_path: Path, tmp_path: Path
) -> None:
    write(home, 1)
    restored(home, index_path, [NAMED, MOVED, UNNAMED])
    dump = dumped(index_path)
    other = tmp_path / "other" / "index.sqlite3"
    restored(home, other, read_dump(io.BytesIO(dump)))
    assert dumped(other) == dump
    asyncio.run(reindex(home, other))
    assert dumped(other) == dump
    assert names(home, other) == {thread_id(1): "mine"}


MARKS = {
    **dict.fromkeys(("tag:a", "tag:b", "pinned"), ("1", None)),
    "note": ("x", "y", None),
    "status": ("todo", "done", None),
}


@st.composite
def marked(draw: st.DrawFn) -> list[list[UserValue]]:
    """What was set on some machines, never two things at the same moment."""
    machines: list[list[UserValue]] = [[], [], []]
    for at in range(draw(st.integers(1, 16))):
        key = draw(st.sampled_from([*MARKS]))
        value = draw(st.sampled_from(MARKS[key]))
        given = UserValue(thread_id(draw(st.integers(1, 2))), key, value, at)
        draw(st.sampled_from(machines)).append(given)
    return machines


@given(machines=marked(), order=st.permutations(range(3)))
@examples(40)
def test_what_machines_set_is_merged_by_time_in_any_order(
    machines: list[list[UserValue]], order: list[int]
) -> None:
    everything = sorted(itertools.chain(*machines), key=lambda each: each.set_at_ms)
    expected: dict[str, Marks] = {}
    for each in everything:
        marks = expected.get(each.thread_id, NO_MARKS)
        expected[each.thread_id] = with_mark(marks, each.key, each.value)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        for number in (1, 2):
            write(home, number)
        paths = [Path(folder) / f"{number}.sqlite3" for number in range(3)]
        for path, settings in zip(paths, machines, strict=True):
            empty_index(path)
            for each in settings:  # one after the other, as they were set
                append_settings(path, [each])
        dumps = [read_dump(io.BytesIO(dumped(path))) for path in paths]
        for path in paths:
            for number in order:
                restored(home, path, dumps[number])
        assert len({dumped(path) for path in paths}) == 1
        for path in paths:
            found = in_index(home, path, lambda index: index.database.query(marks_steps(IDS)))
            assert found == {id_: marks for id_, marks in expected.items() if any(marks)}


IDS = [thread_id(1), thread_id(2)]


def test_a_dump_needs_no_index_and_makes_none(index_path: Path) -> None:
    assert dumped(index_path) == HEADER
    assert not index_path.parent.exists()
    index_path.parent.mkdir()
    append_settings(index_path, [MOVED])
    assert b"/srv/new" in dumped(index_path)
    assert not index_path.exists()


def test_a_dump_of_a_damaged_index_is_what_the_journal_holds(home: Path, index_path: Path) -> None:
    restored(home, index_path, [NAMED, MOVED])
    whole = dumped(index_path)
    index_path.write_bytes(b"no database " * 1000)
    given, damaged = asyncio.run(known_user_data(index_path))
    assert damaged
    assert set(given) == {NAMED, MOVED}
    assert dumped(index_path) == whole
    assert index_path.read_bytes() == b"no database " * 1000


def test_nothing_is_dumped_from_or_restored_into_an_index_of_a_newer_version(
    home: Path, index_path: Path
) -> None:
    synced(home, index_path)
    with closing(sqlite3.connect(index_path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9999'")
        connection.commit()
    with pytest.raises(IndexTooNew):
        dumped(index_path)
    with pytest.raises(IndexTooNew):
        restored(home, index_path, [NAMED])
    assert not journal_path(index_path).exists()


def test_what_the_journal_cannot_take_is_not_set(home: Path, index_path: Path) -> None:
    write(home, 1)
    synced(home, index_path)
    journal_path(index_path).mkdir()
    with pytest.raises(FileUnusable, match=r"facts\.jsonl"):
        restored(home, index_path, [NAMED])
    journal_path(index_path).rmdir()
    assert names(home, index_path) == {thread_id(1): None}
    assert dumped(index_path) == HEADER
