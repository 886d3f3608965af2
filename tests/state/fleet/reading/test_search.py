"""A search of a fleet of one machine finds what a search of that machine's index does."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from rollout.search.terms import Term, sentence_terms, terms_of
from state.fleet.reading.index import FleetIndex, open_fleet
from state.fulltext.hits import Hit, Passage, passages
from state.fulltext.indexer import fill_fulltext
from state.fulltext.search import Found, Search, search
from state.fulltext.sentence import SentenceFound, search_sentence
from state.query.model import Query
from state.thread_index import ThreadIndex, open_index
from tests.samples.homes import encoded, event, lines, write
from tests.support.effort import sample
from tests.support.postgres.cluster import Cluster, new_fleet
from tests.support.postgres.copied import put_index, put_messages

STAMP = "2026-05-28T20:00:00.000Z"
SAID = [
    "the keyset cursor of a page",
    "naïve straße, Größe 한글 東京都 日本語",
    "🦀 crab and ux1f980 beside foo_bar",
    "to be or not to be",
    "a\x00b \ud83d lone",
    "x" * 9_000 + " behind a long word",
    "क्या हुआ",
    "100% sure_ it's \\ fine",
]
QUERIES = [
    *("list", "threads", "thread*", '"list threads"', "take 2", "a", "x", "undo"),
    *("the", "to be", '"to be or"', "cur*", "keyset page", "nowhere", "prompt 3", "straße"),
    *("東京", "京", "日本", "한글", "하", "🦀", "क्या", "foo_bar", "foo", "100%", "sure_", "it's"),
    *("behind word", "\\", "ux1f980", "b lone", "GRÖSSE", "number1 common", "common number2"),
]
LITERALS = ["ead", "t t", "%", "_", "ye", "ke", "o b", "京都", "0% s", "xx", "qzjv", "common num"]
FIELDS: list[dict[str, Any]] = [
    {},
    {"descending": False, "sort_key": "updated_at"},
    {"sort_key": "recency_at", "cwds": ("/work/p1",)},
    {"search": "prompt"},
    {"archived": True},
]


@dataclass(frozen=True)
class Machines:
    """A machine's index, and what two tenants have of it: one alone, one among others."""

    local: ThreadIndex
    alone: FleetIndex
    among: FleetIndex
    runner: asyncio.Runner

    def pages(self, index: ThreadIndex, wanted: Search) -> list[Found]:
        """All pages of a search."""

        async def walked() -> list[Found]:
            pages: list[Found] = []
            while not pages or pages[-1].next_cursor:
                cursor = pages[-1].next_cursor if pages else None
                asked = replace(wanted, among=replace(wanted.among, cursor=cursor))
                pages.append(await search(index, asked))
            return pages

        return self.runner.run(walked())


@pytest.fixture(scope="module")
def machines(
    cluster: Cluster, corpus_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("machines")
    home = Path(shutil.copytree(corpus_home, folder / "home"))
    for number in range(80):
        said = [SAID[number % len(SAID)], f"common number{number % 3}", "word " * (number % 40)]
        talk = [event(STAMP, "agent_message", message=text) for text in said]
        write(home, number, encoded([*lines(number, f"prompt {number}"), *talk]))

    async def opened(stack: AsyncExitStack) -> tuple[ThreadIndex, FleetIndex, FleetIndex]:
        local = await stack.enter_async_context(open_index(home, folder / "own.sqlite3"))
        await local.catch_up()
        await fill_fulltext(local)
        for tenant in ("one", "two"):
            address = fleet.machine(f"laptop-{tenant}", tenant=tenant, user="ann")
            put_index(fleet, f"laptop-{tenant}", local.database.path, tenant=tenant)
            await put_messages(fleet, f"laptop-{tenant}", address, local)
        other = folder / "other"
        for number in range(60, 120):
            text = event(STAMP, "agent_message", message="common, but on another machine")
            write(other, number, encoded([*lines(number, f"prompt {number}"), text]))
        address = fleet.machine("desktop", tenant="two", user="bob")
        async with open_index(other, folder / "other.sqlite3") as index:
            await index.catch_up()
            put_index(fleet, "desktop", index.database.path, tenant="two")
            await put_messages(fleet, "desktop", address, index)
        readers = (fleet.reader(tenant=tenant) for tenant in ("one", "two"))
        fleets = [open_fleet(folder, folder / "own.sqlite3", reader) for reader in readers]
        alone, among = [await stack.enter_async_context(each) for each in fleets]
        return local, alone, among

    with new_fleet(cluster) as fleet, asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield Machines(*runner.run(opened(stack)), runner)
        runner.run(stack.aclose())


def seen(found: Found, wanted: Search) -> Any:
    """What is shown of a page."""

    def shown(hit: Hit) -> tuple[str, int, list[Passage]]:
        return hit.row["id"], hit.matches, passages(hit, wanted.terms)

    return [*map(shown, found.hits)], found.next_cursor, found.backwards_cursor


def terms_of_literal(text: str) -> tuple[Term, ...]:
    """What ``--literal`` searches for."""
    term = Term.of(text)
    assert term is not None
    return (term,)


def searches() -> Iterator[Search]:
    terms = [tuple(terms_of(query)) for query in QUERIES]
    terms += map(terms_of_literal, LITERALS)
    for number, each in enumerate(filter(None, terms)):
        fields = FIELDS[number % len(FIELDS)]
        ranked = number % 4 == 3
        for limit in (100, 7):
            given = {"all_sources": True, "limit": limit, **fields}
            yield Search(each, Query(**given), ranked, most_hits=1 + 19 * (number % 2))


def _name(wanted: Search) -> str:
    return f"{' '.join(wanted.terms[0].pieces)}-{wanted.among.limit}"


@pytest.mark.parametrize("wanted", sample(searches()), ids=_name)
def test_a_fleet_finds_what_the_index_of_its_machine_does(
    machines: Machines, wanted: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [seen(page, wanted) for page in machines.pages(machines.local, wanted)]
    assert [seen(page, wanted) for page in machines.pages(machines.alone, wanted)] == own
    monkeypatch.setattr("state.fleet.reading.fulltext.candidates._FIRST", 5)
    monkeypatch.setattr("state.fleet.reading.fulltext.candidates._FAR", 0)
    named = replace(wanted, among=replace(wanted.among, machine="laptop-two"))
    assert [seen(page, wanted) for page in machines.pages(machines.among, named)] == own


@pytest.mark.parametrize("literal", ["ye", "a", "zq"])
def test_a_search_that_looks_into_too_many_threads_says_where_it_stopped(
    machines: Machines, literal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No index tells which threads hold so short a text."""
    wanted = Search(terms_of_literal(literal), Query(all_sources=True, limit=50))
    own = [hit.row["id"] for page in machines.pages(machines.local, wanted) for hit in page.hits]
    for name, value in (("_FIRST", 7), ("_AT_ONCE", 7), ("_MOST_WALKED", 20)):
        monkeypatch.setattr(f"state.fleet.reading.fulltext.candidates.{name}", value)
    pages = machines.pages(machines.alone, wanted)
    assert [hit.row["id"] for page in pages for hit in page.hits] == own
    assert len(pages) > 2
    assert all(page.stopped for page in pages[:-1] if len(page.hits) < 50)
    assert not pages[-1].stopped
    counted = machines.runner.run(search(machines.alone, wanted, 50))
    assert (counted.stopped, counted.next_cursor) == (pages[0].stopped, pages[0].next_cursor)
    monkeypatch.setattr("state.fleet.reading.fulltext.search._MOST_IN_VAIN", 0)
    assert machines.runner.run(search(machines.alone, replace(wanted, ranked=True))).stopped


SENTENCES = [
    "where is the keyset cursor of a page?",
    "a crab, and what comes behind a long word",
    "Größe einer Straße nowhere",
    "common number1 prompt 日本語",
    "nowhere at_all",
    "list",
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_finds_what_it_does_in_the_index(machines: Machines, sentence: str) -> None:
    terms = tuple(sentence_terms(sentence))
    among = Query(limit=20, all_sources=True, sort_key="recency_at")

    async def found(index: ThreadIndex) -> Any:
        pages: list[SentenceFound] = []
        cursor: str | None = None
        while not pages or cursor:
            page = await search_sentence(index, terms, replace(among, cursor=cursor))
            cursor = page.next_cursor
            pages.append(page)
            assert len(pages) < 30
        hits = [each for page in pages for each in page.hits]
        assert len({each.hit.row["id"] for each in hits}) == len(hits)
        return [
            (each.hit.row["id"], each.terms, passages(each.hit, terms)) for each in hits
        ], pages[0].complete

    own, complete = machines.runner.run(found(machines.local))
    theirs, same = machines.runner.run(found(machines.alone))
    assert same == complete
    assert theirs[:complete] == own[:complete]
    assert sorted(theirs) == sorted(own)


def test_a_server_that_shows_one_user_ranks_only_their_threads(machines: Machines) -> None:
    terms = tuple(sentence_terms("common nowhere"))
    among = Query(limit=100, all_sources=True, sort_key="recency_at")

    async def users() -> set[str]:
        found = await search_sentence(machines.among, terms, among)
        assert not found.complete
        return {each.hit.row["user"] for each in found.hits}

    async def seen() -> tuple[set[str], set[str]]:
        every = await users()
        await machines.among.see(None, ["bob"])
        try:
            return every, await users()
        finally:
            await machines.among.see(None, [])

    assert machines.runner.run(seen()) == ({"ann", "bob"}, {"bob"})
