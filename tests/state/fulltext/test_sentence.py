"""A search with a sentence finds threads with all of its words, then those with some."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.search.normalize import casefold
from rollout.search.snippet import best_snippet
from rollout.search.terms import Matcher, sentence_terms
from state.errors import EmptySearch, InvalidCursor
from state.fulltext.candidates import match_of
from state.fulltext.indexer import fill_fulltext
from state.fulltext.sentence import SentenceFound, search_sentence
from state.query.model import Query
from state.thread_index import ThreadIndex
from tests.samples.homes import encoded, event, lines, thread_id, write
from tests.state.fulltext.test_search import STAMP, blank, place, said, scanned, turns, work
from tests.support.effort import examples

__all__ = ["blank"]

QUESTION = "why did we decide to use keyset cursors instead of offsets?"


async def found_by(index: ThreadIndex, text: str, **fields: Any) -> SentenceFound:
    among = Query(**{"limit": 100, "all_sources": True, "sort_key": "recency_at", **fields})
    return await search_sentence(index, tuple(sentence_terms(text)), among)


def ids(found: SentenceFound) -> list[str]:
    return [each.hit.row["id"] for each in found.hits]


async def joined(index: ThreadIndex, text: str, limit: int) -> list[str]:
    """The threads of all pages of so many."""
    page = await found_by(index, text, limit=limit)
    threads = ids(page)
    while page.next_cursor:
        page = await found_by(index, text, limit=limit, cursor=page.next_cursor)
        threads += ids(page)
    return threads


def shown(found: SentenceFound, at: int) -> str:
    (message,) = found.hits[at].hit.messages
    return best_snippet(message.text, Matcher(found.terms), found.weights, 40, 60).text


def answer(text: str) -> dict[str, Any]:
    return event(STAMP, "agent_message", message=text)


def talk(home: Path, number: int, *answers: str, **where: Any) -> Path:
    said = [*lines(number, f"prompt {number}"), *map(answer, answers)]
    return write(home, number, encoded(said), **where)


def test_all_words_come_first_and_then_the_rarest_ones(home: Path, index_path: Path) -> None:
    for number in range(20, 60):  # what nearly every thread has
        talk(home, number, "We use this instead of that, and did so to be done.")
    talk(home, 1, "We decide to use keyset cursors, why? Offsets did shift instead of staying.")
    talk(home, 2, "Keyset cursors it is", "why", "did we decide to use them instead of offsets?")
    talk(home, 3, "A cursor by keyset has no offset that shifts.")
    talk(home, 4, "The offset of the line in bytes", "of the keyset")
    talk(home, 5, "It is the keyset.")
    talk(home, 6, "Nothing at all.")

    async def do(index: ThreadIndex) -> None:
        await fill_fulltext(index)
        found = await found_by(index, QUESTION)
        assert ids(found)[:5] == [thread_id(number) for number in (2, 1, 3, 4, 5)]
        assert (found.complete, found.pending, found.next_cursor) == (2, 0, None)
        assert thread_id(6) not in ids(found)
        pieces = [term.pieces[0] for term in found.terms]
        assert {pieces[term] for term in found.hits[2].terms} == {"keyset", "cursor", "offset"}
        assert shown(found, 2).startswith("A cursor by keyset has no offset")
        by_weight = dict(zip(pieces, found.weights, strict=True))
        assert by_weight["keyset"] > 3 * by_weight["instead"] > 0
        assert ids(await found_by(index, QUESTION, limit=3)) == ids(found)[:3]

    work(home, index_path, do)


def test_threads_that_are_not_indexed_yet_are_told(home: Path, index_path: Path) -> None:
    talk(home, 1, "red and green")

    async def do(index: ThreadIndex) -> None:
        await fill_fulltext(index)
        talk(home, 2, "red and violet")
        await index.catch_up()
        found = await found_by(index, "red green violet")
        assert (ids(found), found.pending) == ([thread_id(1)], 1)
        await fill_fulltext(index)
        found = await found_by(index, "red green violet")
        assert (ids(found), found.pending) == ([thread_id(2), thread_id(1)], 0)

    work(home, index_path, do)


def test_words_count_twice_where_they_stand_together(home: Path, index_path: Path) -> None:
    talk(home, 1, "red", "green", "blue")
    talk(home, 2, "red and green, but blue", "and more")
    talk(home, 3, "only red and green here", "blue")

    async def do(index: ThreadIndex) -> None:
        await fill_fulltext(index)
        found = await found_by(index, "red green blue violet")
        assert ids(found) == [thread_id(2), thread_id(3), thread_id(1)]
        assert (found.complete, shown(found, 1)) == (0, "only red and green here")

    work(home, index_path, do)


def test_names_are_found_and_files_that_are_gone_are_not(home: Path, index_path: Path) -> None:
    talk(home, 0, "of no cursor")
    talk(home, 1, "of a cursor")
    talk(home, 2, "about cursors")
    talk(home, 3, "no such word")
    (home / "session_index.jsonl").write_text(
        f'{{"id":"{thread_id(3)}","thread_name":"Cursors","updated_at":"2026-05-28"}}\n'
    )
    talk(home, 4, "an archived cursor", archived=True)

    async def do(index: ThreadIndex) -> None:
        await fill_fulltext(index)
        found = await found_by(index, "nowhere cursor")
        assert ids(found) == [thread_id(number) for number in (3, 2, 1, 0)]
        assert (found.hits[0].hit.header, found.hits[0].hit.messages) == (["Cursors"], [])
        assert ids(await found_by(index, "nowhere cursor", cwds=("/work/p1",))) == [thread_id(1)]
        archived = await found_by(index, "nowhere cursor", archived=True)
        assert ids(archived) == [thread_id(4)]
        for file in [*home.rglob(f"*{thread_id(2)}*"), *home.rglob(f"*{thread_id(3)}*")]:
            file.unlink()
        assert ids(await found_by(index, "nowhere cursor")) == [thread_id(1), thread_id(0)]
        assert await joined(index, "nowhere cursor", 1) == [thread_id(1), thread_id(0)]

    work(home, index_path, do)


@pytest.mark.parametrize("complete", [0, 3, 7, 8, 20])
def test_pages_join_to_the_whole(home: Path, index_path: Path, complete: int) -> None:
    for number in range(30):
        words = ["common", f"part{number % 4}"]
        words += ["rare"] if number < complete else []
        talk(home, number, " ".join(words))
    text = "rare common part0 part1 part2 part3" if not complete else "rare common"

    async def do(index: ThreadIndex) -> None:
        await fill_fulltext(index)
        whole = await found_by(index, text)
        assert set(ids(whole)) == {thread_id(number) for number in range(30)}
        assert whole.complete == complete
        joined: list[str] = []
        cursor = None
        while True:
            page = await found_by(index, text, limit=7, cursor=cursor)
            joined += ids(page)
            assert page.complete == max(min(complete - len(joined) + len(page.hits), 7), 0)
            if (cursor := page.next_cursor) is None:
                break
            with pytest.raises(InvalidCursor):
                await found_by(index, f"{text} more", limit=7, cursor=cursor)
        assert joined == ids(whole)
        middle = await found_by(index, text, limit=4, cursor=whole.hits[2].cursor)
        assert ids(middle) == ids(whole)[3:7]

    work(home, index_path, do)


def test_what_holds_little_beside_the_best_is_left_out(home: Path, index_path: Path) -> None:
    question = "what did we say of the pagination of users?"
    for number in range(20, 60):
        talk(home, number, "It is of the kind that we have", *(["What?"] * (number % 4 == 0)))
    for number in (1, 2):
        talk(home, number, "The pagination is what users see")
    talk(home, 3, "The pagination")

    async def do(index: ThreadIndex) -> None:
        await fill_fulltext(index)
        found = await found_by(index, question)
        assert ids(found) == [thread_id(number) for number in (2, 1, 3)]
        assert len(ids(await found_by(index, "the kind of what?"))) > 10
        for number in (4, 5, 6):
            talk(home, number, "The pagination of users")
        await index.catch_up()
        await fill_fulltext(index)
        whole = ids(await found_by(index, question))
        assert whole == [thread_id(number) for number in (2, 1, 6, 5, 4)]  # enough are better
        assert await joined(index, question, 1) == whole

    work(home, index_path, do)


def test_what_is_no_search_is_refused(home: Path, index_path: Path) -> None:
    talk(home, 1, "a cursor")

    async def do(index: ThreadIndex) -> None:
        await fill_fulltext(index)
        with pytest.raises(EmptySearch):
            await found_by(index, "?!")
        with pytest.raises(InvalidCursor):
            await found_by(index, "cursor", cursor="nonsense")
        with closing(sqlite3.connect(index_path)) as connection, connection:
            connection.execute("UPDATE fulltext_documents SET locations = x'00'")
        with pytest.raises(Exception, match="full-text index"):
            await found_by(index, "nowhere cursor")

    work(home, index_path, do)


@examples(40)
@given(
    threads=st.lists(turns, min_size=1, max_size=6),
    asked=st.lists(said, min_size=1, max_size=4),
)
def test_it_finds_what_holds_a_word(
    blank: Path, threads: list[list[dict[str, Any]]], asked: list[str]
) -> None:
    with place(blank) as (home, path):
        for number, more in enumerate(threads):
            write(home, number, encoded([*lines(number, f"prompt {number}"), *more]))

        async def do(index: ThreadIndex) -> None:
            await fill_fulltext(index)
            for text in filter(sentence_terms, asked):
                found = await found_by(index, text)
                terms = sentence_terms(text)
                loose = dict.fromkeys(each for term in terms for each in term.loosened)
                assert found.terms == tuple(loose)
                wanted = await scanned(index, sentence_terms(text))
                assert set(ids(found)[: found.complete]) == wanted
                counts = {each: [0] for each in wanted}
                for term, weight in zip(loose, found.weights, strict=True):
                    for each in (await scanned(index, [term])) if match_of(term) else ():
                        counts[each] = [*counts.get(each, []), weight]
                assert set(ids(found)) <= counts.keys()
                assert len(ids(found)) == len({*ids(found)})
                some = found.hits[found.complete :]
                most = sorted(2 * sum(found.weights[term] for term in hit.terms) for hit in some)
                enough = max(most[-1] / 4, most[-5] * 2 / 3 if len(most) > 4 else 0) if most else 0
                for each in counts.keys() - {*ids(found)}:
                    assert sum(counts[each]) + max(counts[each]) < enough
                for hit, held, _ in found.hits[found.complete :]:
                    texts = [*hit.header, *(message.text for message in hit.messages)]
                    seen = Matcher(found.terms).found_in(casefold(" ".join(texts)))
                    assert seen & held

        work(home, path, do)


def test_no_others_follow_if_many_hold_all_terms(
    home: Path, index_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.fulltext.sentence._FEW", 5)
    for number in range(8):
        talk(home, number, "both words" if number < 6 else "one of the words")

    async def do(index: ThreadIndex) -> None:
        await fill_fulltext(index)
        page = await found_by(index, "both words", limit=4)
        page = await found_by(index, "both words", limit=4, cursor=page.next_cursor)
        assert (len(page.hits), page.complete, page.next_cursor) == (2, 2, None)
        assert all(page.weights)

    work(home, index_path, do)
