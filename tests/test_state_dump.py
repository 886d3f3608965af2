"""``dump`` and ``restore``: what users set as text, merged so that the newer of two counts."""

import asyncio
import io
import json
from pathlib import Path

import pytest

from state.dump import BATCH_FACTS, Restored, dump_lines, known_facts, read_dump, restore
from state.errors import BadDump, DumpTooNew, FileUnusable
from state.facts import Alias, Fact, Setting, append_facts, journal_path, put_facts, read_facts
from state.index import ThreadIndex, open_index
from state.listing import Query
from state.reindex import reindex

from .homes import thread_id, write
from .indexes import rows
from .test_state_aliases import use

HEADER = '{"format": "threadkeep-facts", "version": 1}'


def named(number: int, name: str | None, set_at_ms: int = 5) -> Fact:
    return Fact(thread_id(number), "name", name, set_at_ms)


def dumped(*lines: str) -> io.BytesIO:
    return io.BytesIO("".join(f"{line}\n" for line in lines).encode())


def restored(home: Path, path: Path, *facts: Setting) -> Restored:
    return use(home, path, lambda index: restore(index.database, index.home, facts))


def names(home: Path, path: Path) -> dict[str, str | None]:
    async def work(index: ThreadIndex) -> dict[str, str | None]:
        return {row["id"]: row["name"] for row in (await index.page(Query())).rows}

    return use(home, path, work)


def known(path: Path) -> set[Setting]:
    facts, damaged = asyncio.run(known_facts(path))
    assert not damaged
    return set(facts)


def test_a_dump_is_sorted_and_has_the_newest_fact_of_each_subject_once() -> None:
    facts: list[Setting] = [
        named(2, "two"),
        named(1, "old", 4),
        named(1, "new", 6),
        Alias("/b", "/c", 5),
        Alias("/b/", "/d", 7),
        Alias("/a", None, 5),
    ]
    lines = list(dump_lines(facts))
    assert lines == list(dump_lines(reversed(facts)))
    assert lines[0] == HEADER
    told = [json.loads(line) for line in lines[1:]]
    assert [fact.get("alias") or fact["thread_id"] for fact in told] == [
        "/a",
        "/b/",
        thread_id(1),
        thread_id(2),
    ]
    assert [fact["value"] for fact in told] == [None, "/d", "new", "two"]
    assert set(read_dump(dumped(*lines))) == {facts[0], facts[2], facts[4], facts[5]}


@pytest.mark.parametrize(
    ("lines", "number", "offset", "says"),
    [
        ([], 1, 0, "it is empty"),
        (["", "  "], 1, 0, "a dump begins with"),
        (['{"v": 1}'], 1, 0, "a dump begins with"),
        (['{"format": "threadkeep-facts"}'], 1, 0, "a dump begins with"),
        (['{"format": "threadkeep-facts", "version": 0}'], 1, 0, "a dump begins with"),
        ([HEADER, "", "{"], 3, 46, "not valid JSON"),
        ([HEADER, "\0\0"], 2, 45, "not valid JSON"),
        ([HEADER, "[]"], 2, 45, "no fact"),
        ([HEADER, '{"v": 2, "alias": "/a", "value": "/b", "set_at_ms": 1}'], 2, 45, "no fact"),
        ([HEADER, '{"v": 1, "alias": "", "value": "/b", "set_at_ms": 1}'], 2, 45, "no fact"),
        ([HEADER, '{"v": 1, "alias": "/a", "value": "\\ud800", "set_at_ms": 1}'], 2, 45, "JSON"),
        ([HEADER, '{"v": 1, "alias": "/a", "value": "/b", "set_at_ms": 1e300}'], 2, 45, "no fact"),
        (
            [HEADER, '{"v": 1, "thread_id": "me", "key": "name", "value": "x", "set_at_ms": 1}'],
            2,
            45,
            "no fact",
        ),
        ([HEADER, "x" * 2**26], 2, 45, "a long line"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_nothing_else_is_given(
    lines: list[str], number: int, offset: int, says: str
) -> None:
    with pytest.raises(BadDump) as caught:
        read_dump(dumped(*lines))
    assert (caught.value.line, caught.value.offset) == (number, offset)
    assert says in caught.value.reason


def test_the_dump_of_a_newer_version_is_refused_by_its_first_line() -> None:
    with pytest.raises(DumpTooNew, match="version 2"):
        read_dump(dumped('{"format": "threadkeep-facts", "version": 2}', "of the future"))


def test_blank_lines_and_line_ends_of_windows_do_not_matter() -> None:
    fact = named(1, "ä\u2028b")
    lines = list(dump_lines([fact]))
    assert read_dump(io.BytesIO("\r\n\r\n".join(lines).encode())) == [fact]


def test_names_are_restored_for_threads_now_and_for_threads_to_come(
    home: Path, index_path: Path
) -> None:
    write(home, 1)
    assert restored(home, index_path, named(1, "one"), named(2, "two")) == Restored(set=2)
    assert names(home, index_path) == {thread_id(1): "one"}
    write(home, 2)
    assert names(home, index_path) == {thread_id(1): "one", thread_id(2): "two"}
    found = use(home, index_path, lambda index: index.page(Query(search="two")))
    assert [row["id"] for row in found.rows] == [thread_id(2)]


def test_a_name_that_is_taken_back_leaves_the_name_that_codex_has(
    home: Path, index_path: Path
) -> None:
    write(home, 1)
    line = json.dumps({"id": thread_id(1), "thread_name": "theirs"})
    (home / "session_index.jsonl").write_text(line + "\n")
    restored(home, index_path, named(1, "ours"))
    assert names(home, index_path) == {thread_id(1): "ours"}
    assert restored(home, index_path, named(1, None, 6)) == Restored(set=1)
    assert names(home, index_path) == {thread_id(1): "theirs"}


def test_the_newer_of_two_counts_and_the_others_are_counted(home: Path, index_path: Path) -> None:
    write(home, 1)
    restored(home, index_path, named(1, "five"), Alias("/a", "/b", 5))
    journal = journal_path(index_path).read_bytes()
    same = (named(1, "other", 5), Alias("/a/", "/c", 4))
    assert restored(home, index_path, *same) == Restored(equal=1, older=1)
    assert journal_path(index_path).read_bytes() == journal
    newer = (named(1, "six", 6), Alias("/a", None, 6))
    assert restored(home, index_path, *newer) == Restored(set=2)
    assert known(index_path) == set(newer)
    assert names(home, index_path) == {thread_id(1): "six"}


def test_restoring_twice_is_restoring_once_over_many_batches(home: Path, index_path: Path) -> None:
    write(home, 1)
    facts = [named(number, f"name {number}") for number in range(2 * BATCH_FACTS + 1)]
    facts_of_both: list[Setting] = [*facts, Alias("/a", "/b", 5)]
    count = len(facts_of_both)
    assert restored(home, index_path, *facts_of_both) == Restored(set=count)
    journal = journal_path(index_path).read_bytes()
    assert journal.count(b"\n") == count
    again = read_dump(dumped(*dump_lines(known(index_path))))
    assert restored(home, index_path, *again) == Restored(equal=count)
    assert journal_path(index_path).read_bytes() == journal
    asyncio.run(reindex(home, index_path))
    assert known(index_path) == set(facts_of_both)
    assert rows(index_path, "SELECT count(*) AS n FROM user_facts") == [{"n": count - 1}]


def test_what_a_crash_has_left_in_the_journal_alone_gets_into_the_index(
    home: Path, index_path: Path
) -> None:
    write(home, 1)
    use(home, index_path, lambda index: index.page(Query()))
    append_facts(index_path, [named(1, "one")])
    assert names(home, index_path) == {thread_id(1): None}
    assert known(index_path) == {named(1, "one")}
    assert restored(home, index_path, named(1, "one")) == Restored(equal=1)
    assert names(home, index_path) == {thread_id(1): "one"}


def test_a_fact_that_the_index_alone_has_is_dumped_too(home: Path, index_path: Path) -> None:
    async def put() -> None:
        async with open_index(home, index_path) as index, index.database.write() as connection:
            await put_facts(connection, [named(1, "one"), Alias("/a", "/b", 5)])

    asyncio.run(put())
    append_facts(index_path, [named(1, "older", 4), named(2, "two")])
    lines = list(dump_lines(known(index_path)))
    assert read_dump(dumped(*lines)) == [Alias("/a", "/b", 5), named(1, "one"), named(2, "two")]


def test_a_dump_without_an_index_makes_none(index_path: Path) -> None:
    index_path.parent.mkdir()
    assert known(index_path) == set()
    append_facts(index_path, [named(1, "one")])
    assert known(index_path) == {named(1, "one")}
    assert not index_path.exists()


def test_of_a_damaged_index_the_journal_is_dumped(home: Path, index_path: Path) -> None:
    restored(home, index_path, named(1, "one"))
    index_path.write_bytes(b"no database " * 1000)
    assert asyncio.run(known_facts(index_path)) == ([named(1, "one")], True)


def test_nothing_is_restored_that_the_journal_does_not_take(home: Path, index_path: Path) -> None:
    write(home, 1)
    use(home, index_path, lambda index: index.page(Query()))
    journal_path(index_path).mkdir()
    with pytest.raises(FileUnusable, match=r"facts\.jsonl"):
        restored(home, index_path, named(1, "one"))
    assert rows(index_path, "SELECT * FROM user_facts") == []


def test_a_torn_line_in_the_journal_costs_itself_alone(home: Path, index_path: Path) -> None:
    restored(home, index_path, named(1, "one"))
    journal = journal_path(index_path)
    journal.write_bytes(journal.read_bytes() + b'{"v":1,"ali')
    restored(home, index_path, named(2, "two"))
    assert read_facts(index_path) == [named(1, "one"), named(2, "two")]
