"""A search finds a thread if and only if what it shows matches, whatever became of its file."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rollout.files.layout import parse_name
from rollout.history.thread import bare_if_empty, open_history
from rollout.search.messages import history_messages, item_text
from rollout.search.normalize import casefold, normalize
from rollout.search.terms import Matcher, Term, terms_of
from state.errors import InvalidCursor, InvalidQuery
from state.fulltext.hits import passages
from state.fulltext.indexer import (
    caught_up_fulltext,
    fill_fulltext,
    keep_fulltext,
    pending_threads,
)
from state.fulltext.search import MOST_SCANNED, Found, Search, search
from state.query.model import Query
from state.thread_index import ThreadIndex, open_index
from tests.samples.homes import encoded, event, lines, thread_id, write
from tests.support.effort import PATIENCE_S, examples
from tests.support.indexes import rows

Result = TypeVar("Result")
STAMP = "2026-05-28T20:00:00.000Z"
WORDS = ["a", "ab", "Ábc", "fix", "FIX", "naïve", "straße", "東京", "京", "日本語", "🦀", "foo_bar"]
said = st.lists(
    st.one_of(st.sampled_from([*WORDS, "-", ".", "\n", "  "]), st.text(max_size=4)), max_size=8
).map(" ".join)
turns = st.lists(
    st.one_of(
        st.builds(lambda text: event(STAMP, "user_message", message=text), said),
        st.builds(lambda text: event(STAMP, "agent_message", message=text), said),
        st.builds(lambda n: event(STAMP, "thread_rolled_back", num_turns=n), st.integers(1, 2)),
    ),
    max_size=5,
)
queries = st.one_of(
    st.sampled_from([*WORDS, "fi*", '"a ab"', "a fix", "東", "b*", "nowhere", '"naive 🦀"']),
    st.text(min_size=1, max_size=6),
)


def work(home: Path, path: Path, do: Callable[[ThreadIndex], Awaitable[Result]]) -> Result:
    """What ``do`` gives for the index, which is in step first."""

    async def opened() -> Result:
        async with open_index(home, path) as index:
            await index.catch_up()
            return await do(index)

    return asyncio.run(opened())


def wanted(query: str, *, literal: bool = False, **fields: Any) -> Search:
    term = Term.of(query)
    terms = ([term] if term else []) if literal else terms_of(query)
    ranked = fields.pop("ranked", False)
    most = fields.pop("most_hits", 1)
    fields.setdefault("all_sources", True)
    return Search(tuple(terms), Query(**{"limit": 100, **fields}), ranked, most)


def ids(found: Found) -> list[str]:
    return [hit.row["id"] for hit in found.hits]


def looked(home: Path, path: Path, query: str, **fields: Any) -> list[str]:
    """The ids that a search gives when everything is indexed."""

    async def do(index: ThreadIndex) -> list[str]:
        await fill_fulltext(index)
        return ids(await search(index, wanted(query, **fields)))

    return work(home, path, do)


async def scanned(index: ThreadIndex, terms: Sequence[Term]) -> set[str]:
    """The threads whose turns, as they are shown, and names have all terms."""
    page = await index.page(Query(limit=100, all_sources=True))
    matcher = Matcher(terms)
    found = set()
    for row in page.rows:
        passages = [row["name"] or "", row["title"], row["preview"] or row["fallback_preview"]]
        history = open_history(index.home / row["rollout_path"], lambda _: None)
        passages += [item_text(item) for _, _, item in history_messages(history)]
        seen = set().union(*(matcher.found_in(casefold(text)) for text in passages))
        if len(seen) == len(matcher.terms):
            found.add(row["id"])
    return found


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of an empty home."""
    folder = tmp_path_factory.mktemp("blank")
    (folder / "home" / "sessions").mkdir(parents=True)
    work(folder / "home", folder / "i.sqlite3", caught_up_fulltext)
    return folder / "i.sqlite3"


@contextmanager
def place(blank: Path) -> Iterator[tuple[Path, Path]]:
    with TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        (home / "sessions").mkdir(parents=True)
        yield home, Path(shutil.copy(blank, Path(folder) / "i.sqlite3"))


@examples(40)
@given(
    threads=st.lists(turns, min_size=1, max_size=4),
    more=turns,
    asked=st.lists(queries, min_size=1, max_size=4),
    literal=st.booleans(),
)
def test_a_search_finds_what_a_plain_scan_does(
    blank: Path,
    threads: list[list[dict[str, Any]]],
    more: list[dict[str, Any]],
    asked: list[str],
    literal: bool,
) -> None:
    searches = []
    for query in asked:
        try:
            searches.append(wanted(query, literal=literal))
        except InvalidQuery:
            assert not (casefold(query) if literal else normalize(casefold(query))).strip()
    with place(blank) as (home, path):
        for number, said in enumerate(threads):
            write(home, number, encoded([*lines(number, f"prompt {number}"), *said]))

        async def do(index: ThreadIndex) -> None:
            for indexed in (True, False, True):
                if indexed:
                    await fill_fulltext(index)
                for each in searches:
                    found = await search(index, each)
                    assert set(ids(found)) == await scanned(index, each.terms)
                    assert found.pending == 0
                    ranked = await search(index, Search(each.terms, each.among, ranked=True))
                    assert set(ids(ranked)) == set(ids(found))
                if indexed:  # grown: found by reading the file until it is indexed again
                    with write(home, 0).open("wb") as file:
                        file.write(encoded([*lines(0, "prompt 0"), *threads[0], *more]))
                    await index.sync()

        work(home, path, do)


def test_a_thread_is_found_whatever_becomes_of_its_file(home: Path, index_path: Path) -> None:
    file = write(home, 1, encoded(lines(1, "the first prompt")))
    write(home, 2, encoded(lines(2, "another")))
    assert looked(home, index_path, "prompt") == [thread_id(1)]
    with file.open("ab") as grown:
        grown.write(encoded([event(STAMP, "agent_message", message="an answer")]))
    assert looked(home, index_path, "answer prompt") == [thread_id(1)]
    write(home, 1, encoded(lines(1, "rewritten")), mtime_ms=1_790_000_000_000)
    assert looked(home, index_path, "prompt") == []
    assert looked(home, index_path, "rewritten") == [thread_id(1)]
    (home / "archived_sessions").mkdir()
    file.rename(home / "archived_sessions" / file.name)
    assert looked(home, index_path, "rewritten") == []
    assert looked(home, index_path, "rewritten", archived=True) == [thread_id(1)]
    archived = home / "archived_sessions" / file.name
    packed = zstandard.ZstdCompressor().compress(archived.read_bytes())
    archived.with_name(f"{file.name}.zst").write_bytes(packed)
    archived.unlink()
    assert looked(home, index_path, "rewritten", archived=True) == [thread_id(1)]
    archived.with_name(f"{file.name}.zst").unlink()
    assert looked(home, index_path, "rewritten", archived=True) == []
    with closing(sqlite3.connect(index_path)) as connection:
        held = connection.execute("SELECT count(*) FROM fulltext_documents").fetchone()
    assert held == (1,)


def test_a_name_is_found_when_it_was_given(home: Path, index_path: Path) -> None:
    write(home, 1)
    named = home / "session_index.jsonl"
    named.write_text(
        f'{{"id":"{thread_id(1)}","thread_name":"Größe prüfen","updated_at":"2026-05-28"}}\n'
    )
    assert looked(home, index_path, "grosse prufen") == [thread_id(1)]
    named.write_text(
        f'{{"id":"{thread_id(1)}","thread_name":"otherwise","updated_at":"2026-05-29"}}\n'
    )
    assert looked(home, index_path, "grosse") == []


def test_a_long_thread_is_searched_by_its_documents(home: Path, index_path: Path) -> None:
    talk = [event(STAMP, "agent_message", message=f"word{n} " + "x y z " * 400) for n in range(60)]
    write(home, 1, encoded([*lines(1), *talk]))

    async def do(index: ThreadIndex) -> None:
        await fill_fulltext(index)
        assert len(rows(index_path, "SELECT 1 FROM fulltext_documents")) > 10
        found = await search(index, wanted("word3 word57", most_hits=5))
        (hit,) = found.hits
        assert (hit.matches, len(hit.messages)) == (2, 2)
        assert ids(await search(index, wanted("word3 word60"))) == []
        assert (await search(index, wanted("x", ranked=True))).hits[0].matches == 60

    work(home, index_path, do)


def test_pages_join_to_the_whole_and_cursors_belong_to_their_search(
    home: Path, index_path: Path
) -> None:
    for number in range(30):
        write(home, number, encoded(lines(number, f"common number{number % 3}")))

    async def do(index: ThreadIndex) -> None:
        await fill_fulltext(index)
        for fields in ({}, {"descending": False}, {"ranked": True}, {"sort_key": "updated_at"}):
            whole = ids(await search(index, wanted("common", **fields)))
            assert len(whole) == 30
            joined: list[str] = []
            cursor = None
            while True:
                page = await search(index, wanted("common", limit=7, cursor=cursor, **fields))
                joined += ids(page)
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert joined == whole
        page = await search(index, wanted("common", limit=7))
        back = wanted("common", limit=7, descending=False, cursor=page.backwards_cursor)
        assert ids(await search(index, back))[0] == ids(page)[0]
        with pytest.raises(InvalidCursor):
            await search(index, wanted("number1", cursor=page.next_cursor))
        assert len(ids(await search(index, wanted("number1 common")))) == 10
        assert ids(await search(index, wanted("common", cwds=("/work/p1",), limit=100)))[0]

    work(home, index_path, do)


def test_few_threads_that_are_not_indexed_are_read_and_many_are_reported(
    home: Path, index_path: Path
) -> None:
    for number in range(MOST_SCANNED):
        write(home, number)

    async def do(index: ThreadIndex) -> None:
        found = await search(index, wanted("prompt"))
        assert (len(found.hits), found.pending) == (MOST_SCANNED, 0)
        write(home, MOST_SCANNED)
        await index.sync()
        found = await search(index, wanted("prompt"))
        assert found.pending == MOST_SCANNED + 1
        assert await caught_up_fulltext(index)
        found = await search(index, wanted("prompt"))
        assert (len(found.hits), found.pending) == (MOST_SCANNED + 1, 0)

    work(home, index_path, do)


def test_a_hit_names_its_turn_and_item(
    corpus_home: Path, corpus_index: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(corpus_index, tmp_path / "i.sqlite3"))

    async def do(index: ThreadIndex) -> None:
        await fill_fulltext(index)
        asked = wanted("take 2", literal=True, most_hits=20)
        found = await search(index, asked)
        assert len(found.hits) > 30
        files = {parse_name(f.name).rollout_id: f for f in corpus_home.rglob("rollout-*")}  # type: ignore[union-attr]
        for hit in found.hits:
            shown = passages(hit, asked.terms)
            assert len(shown) == len(hit.messages) + len(hit.header)
            history = bare_if_empty(open_history(corpus_home / hit.row["rollout_path"], files.get))
            known = {
                (turn.id, item["id"]): (item["type"], item_text(item))
                for turn, _, item in history_messages(history)
            }
            for message in hit.messages:
                said = (message.kind, message.text)
                assert known[message.turn_id, message.item_id] == said
            for each in shown:
                start, end = each.snippet.spans[0]
                assert each.snippet.text[start:end] == "take 2"
                assert (each.kind == "name") == (each.turn_id is None)

    work(corpus_home, path, do)


def test_what_was_reverted_is_not_found_and_what_was_kept_is(
    corpus_home: Path, corpus_index: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(corpus_index, tmp_path / "i.sqlite3"))

    async def do(index: ThreadIndex) -> None:
        await fill_fulltext(index)
        everything = await index.page(Query(limit=100, all_sources=True))
        reverted = [
            row
            for row in everything.rows
            if (name := parse_name(os.path.basename(row["rollout_path"])))
            and name.thread_id != name.rollout_id
        ]
        assert reverted
        files = {parse_name(f.name).rollout_id: f for f in corpus_home.rglob("rollout-*")}  # type: ignore[union-attr]
        for row in reverted:
            history = open_history(corpus_home / row["rollout_path"], files.get)
            for _, _, item in history_messages(history):
                found = await search(index, wanted(item_text(item), literal=True))
                assert row["id"] in ids(found)

    work(corpus_home, path, do)


def test_waste_is_dropped_by_a_rebuild(
    home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.fulltext.indexer._WASTE", 3)
    for number in range(5):
        write(home, 1, encoded(lines(1, f"version {number}")), mtime_ms=1_780_000_000_000 + number)
        assert looked(home, index_path, f"version {number}", literal=True) == [thread_id(1)]
    with closing(sqlite3.connect(index_path)) as connection:
        (last,) = connection.execute("SELECT max(document_id) FROM fulltext_documents").fetchone()
    assert last < 5


@pytest.mark.parametrize("delivery", ["async", "of the future"])
def test_an_older_index_finds_what_an_agent_sent_while_working(
    delivery: str, home: Path, index_path: Path
) -> None:
    sent = event(STAMP, "agent_message", message="heads up", delivery=delivery)
    write(home, 1, encoded([*lines(1), sent]))
    assert looked(home, index_path, "heads") == [thread_id(1)]
    with closing(sqlite3.connect(index_path)) as connection:
        # As the versions left it that could not read such a message.
        connection.execute("DELETE FROM fulltext_documents")
        connection.execute("UPDATE fulltext_threads SET version = 2")
        connection.commit()
    assert looked(home, index_path, "heads") == [thread_id(1)]


def test_a_server_reads_later_what_could_not_be_read(
    home: Path, index_path: Path, tmp_path: Path
) -> None:
    """As a process that may read all has no permission to lack, the file is elsewhere for a
    while, unnoticed."""
    path = write(home, 1, encoded([*lines(1), event(STAMP, "agent_message", message="zanzibar")]))

    async def do(index: ThreadIndex) -> None:
        away = path.rename(tmp_path / "away")
        await fill_fulltext(index)
        found = await search(index, wanted("zanzibar"))
        assert (found.hits, len(found.unreadable), await pending_threads(index)) == ([], 1, 0)
        away.rename(path)
        ready = asyncio.Event()
        ready.set()
        keeping = asyncio.create_task(keep_fulltext(index, ready, retry_s=0))
        async with asyncio.timeout(PATIENCE_S):
            while not found.hits:
                found = await search(index, wanted("zanzibar"))
        keeping.cancel()
        await asyncio.wait([keeping])

    work(home, index_path, do)
