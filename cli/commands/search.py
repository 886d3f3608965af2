"""``threadkeep search``."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli import errors
from cli.arguments.filters import Filters, takes_filters_of_text
from cli.arguments.locations import Locations
from cli.arguments.options import (
    ArchivedOption,
    CursorOption,
    JsonOption,
    SyncOption,
    limit_option,
    locations,
)
from cli.terminal import damage, output
from cli.terminal.cells import fitted
from cli.terminal.hidden import footer, lines_of, no_threads, not_shown
from cli.terminal.text import plural
from rollout.errors import Damage
from state.errors import EmptySearch, InvalidQuery

if TYPE_CHECKING:
    from cli.render.matches import Matches
    from cli.runtime.raw_search import RawFound
    from cli.runtime.searching import Searching
    from cli.runtime.waiting import Coverage
    from state.db.steps import Steps
    from state.fulltext.hits import Passage
    from state.fulltext.search import Found, Search
    from state.query.marks import Marks
    from state.query.model import Hidden
    from state.query.oneshot import IndexReader
    from state.thread_index import ThreadIndex

_HITS_KEPT = 20
"""Messages of a thread in JSON and pipes."""
_MORE = "There are more matches. Use --limit N to see more."
_AROUND: Final = 3
"""Lines around what was found: two below it, and the next prompt."""
_BELOW_FIRST: Final = 2
"""Lines below a first answer."""
_USUAL_LIMIT: Final = 10


@dataclass(slots=True)
class Searched:
    """What a search command found."""

    found: "Found"
    passages: list[list["Passage"]]
    notes: list[str]
    damage: list[Damage] = field(default_factory=list)
    """Where the files that were read break off."""
    hidden: "Hidden" = field(init=False)
    """What was not searched."""
    empty: bool = False
    """Whether the home has neither threads nor unreadable files."""
    more: bool = False
    """Whether more threads match."""
    raw: bool = False
    short_ids: dict[str, str] = field(default_factory=dict)
    marks: "dict[str, Marks]" = field(default_factory=dict)
    """What users have put on the threads, by id."""
    coverage: "Coverage | None" = None
    """How much was searched, for a first answer."""
    first: bool = False
    """Whether it was printed as the first answer."""
    shown: set[str] = field(default_factory=set)
    """The threads that the first answer has shown."""

    @property
    def complete(self) -> bool:
        """Whether everything was searched."""
        unsearched = self.raw and (self.hidden.unreadable or self.more)
        return not (self.notes or self.damage or unsearched or self.coverage)


@takes_filters_of_text
def command(
    context: typer.Context,
    terms: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TERM...",
            help='Words, beginnings of words (word*) and "phrases". A thread must match'
            " all of them.",
        ),
    ] = None,
    literal: Annotated[
        bool, typer.Option("--literal", help="Find the terms as one exact text, also inside words.")
    ] = False,
    limit: Annotated[
        int | None,
        limit_option("Threads to show.", f"{_USUAL_LIMIT}, as far as they fit the terminal"),
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="KEY", help="recency_at, updated_at, created_at, or matches (most first)."
        ),
    ] = "recency_at",
    ascending: Annotated[bool, typer.Option("--asc", help="Reverse the order.")] = False,
    cursor: CursorOption = None,
    archived: ArchivedOption = False,
    title: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only threads with this text in name, title or preview."),
    ] = None,
    *,
    filters: Filters,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Read all rollouts instead, with tool output and undone turns."),
    ] = False,
    file: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Find the threads that changed a file with this in its path instead.",
        ),
    ] = None,
    sync: SyncOption = True,
    as_json: JsonOption = False,
) -> int:
    """Search the messages and names of threads. Case and accents do not matter. The exit status is
    1 if nothing is found."""
    from cli.runtime.in_step import in_step
    from rollout.search.terms import Term, terms_of
    from state.db.derived_columns import SORT_KEYS
    from state.fulltext.search import MATCHES, Search

    here = locations(context)
    if file is not None and (terms or not file.strip()):
        raise typer.BadParameter("--file takes a part of a path, and no TERM beside it")
    if file is not None and (raw or literal):
        raise typer.BadParameter("--file cannot be combined with --raw or --literal")
    if file is None and not terms:
        raise EmptySearch
    text = file or " ".join(terms or ())
    term = Term.of(text)
    wanted = ((term,) if term else ()) if literal or file is not None else tuple(terms_of(text))
    ranked = sort == MATCHES
    if not ranked and sort not in SORT_KEYS:
        keys = ", ".join((*SORT_KEYS, MATCHES))
        raise InvalidQuery(f"unknown sort key {sort!r}: use one of {keys}")
    among = filters._replace(search=title).query(
        sort_key="recency_at" if ranked else sort,
        descending=not ascending,
        cursor=cursor,
        archived=archived,
    )
    search = Search(wanted, among, ranked, most_hits=_HITS_KEPT)
    if raw and (ranked or cursor is not None):
        raise typer.BadParameter("--raw cannot be combined with --sort matches or --cursor")
    if file is not None and ranked:
        raise typer.BadParameter("--file cannot be combined with --sort matches")
    wants_ids = not as_json and output.on_terminal()
    count = limit or _USUAL_LIMIT
    quick = partial(_quickly, here.home, search, file, count, sync, wants_ids)
    found = None if raw else in_step(here, quick, scan=sync)

    async def work(index: "ThreadIndex") -> Searched:
        from cli.runtime.raw_search import search_raw
        from cli.runtime.searching import Searching, search_changed

        async def show(found: "Found", coverage: "Coverage") -> None:
            first = _searched(found, search, answered=True)
            first.coverage = coverage
            await index.database.query(_finished_steps(first, search, wants_ids))
            _print_first(first, here, search, as_json=as_json, on_terminal=wants_ids)

        if file is not None:
            notes: list[str] = []
            changed = await search_changed(index, file, among, count, notes if sync else None)
            searched = _searched(changed[0], search, notes, where=changed[1])
        elif raw:
            searched = _read(await search_raw(index, search, count, sync))
        else:
            searching = Searching(index, search, count, show, people=wants_ids)
            searched = await _indexed(searching, search, sync)
        return await index.database.query(_finished_steps(searched, search, wants_ids))

    if found is None:
        from cli.runtime.open_index import read_index

        found = read_index(here, work)
    if raw:
        output.say("All rollouts were read for this: --raw uses no index.")
    return _print(found, here, search, as_json=as_json, on_terminal=wants_ids, fits=limit is None)


def _quickly(
    home: Path,
    search: "Search",
    file: str | None,
    count: int,
    sync: bool,
    wants_ids: bool,
    reader: "IndexReader",
) -> Searched | None:
    """What is found, unless the full-text index is behind or a file has just changed."""
    from state.fulltext.changed_files import found_steps
    from state.fulltext.due import is_current_steps
    from state.fulltext.search import search_steadily

    if sync and not reader.read(is_current_steps(home)):
        return None
    if file is None:
        found, stale = search_steadily(home, reader.read, search, count)
        behind, where = bool(stale), None
    else:
        found, where = reader.read(found_steps(file, search.among, count))
        behind = sync and found.pending > 0
    finished = _finished_steps(_searched(found, search, where=where), search, wants_ids)
    return None if behind else reader.read(finished)


def _finished_steps(searched: Searched, search: "Search", wants_ids: bool) -> "Steps[Searched]":
    """``searched`` with what the index has to say of it."""
    from state.query.listing import any_steps, count_steps, short_id_steps
    from state.query.marks import marks_steps

    searched.notes = [note for note in searched.notes if note]
    searched.hidden = (yield from count_steps(search.among)).hidden
    searched.empty = not (searched.found.hits or (yield from any_steps()))
    ids = [hit.row["id"] for hit in searched.found.hits]
    searched.marks = yield from marks_steps(ids)
    if wants_ids:
        searched.short_ids = yield from short_id_steps(ids)
    return searched


def _print_first(
    searched: Searched, here: Locations, search: "Search", *, as_json: bool, on_terminal: bool
) -> None:
    """Print a first answer, and say how much it comes from."""
    from cli.runtime.open_index import answered

    coverage, found = searched.coverage, searched.found
    assert coverage is not None
    if as_json:
        output.data(_document(searched, here))
    elif not on_terminal:
        output.lines(_lines(searched, search))
    elif found.hits:
        room = output.height() - _AROUND - _BELOW_FIRST
        found.hits[:] = found.hits[: _blocks(searched, search, room)]
    if coverage.right:
        answered("page", coverage.total - coverage.searched, "threads")
        return
    so_far = "" if found.hits else "No match yet. "
    output.say(
        f"{so_far}Searched {coverage.searched:,} of {coverage.total:,} threads, the newest."
        " The others follow; Ctrl-C is safe."
    )


def _print(
    searched: Searched,
    here: Locations,
    search: "Search",
    *,
    as_json: bool,
    on_terminal: bool,
    fits: bool,
) -> int:
    found = searched.found
    notes = [*searched.notes, *damage.sentences(searched.damage, here.home, "was searched")]
    hidden = ""
    if as_json and not searched.first:
        output.data(_document(searched, here))
    elif not as_json:
        if not found.hits:
            notes.append(no_threads(here.home, empty=searched.empty, complete=not searched.notes))
        hidden = not_shown(searched.hidden)
    if on_terminal and found.hits:
        _on_terminal(searched, search, notes, hidden, fits=fits)
    else:
        if not (as_json or searched.first):
            output.lines(_lines(searched, search))
        more = _MORE if searched.more and not as_json else ""
        for note in (*notes, more, hidden):
            if note:
                output.say(note)
    return errors.OK if found.hits else errors.NO_MATCH


def _on_terminal(
    searched: Searched, search: "Search", notes: list[str], hidden: str, *, fits: bool
) -> None:
    """What a first answer has not shown; with ``fits``, as much as fits the terminal."""
    found, width = searched.found, output.width()
    above, below = footer(notes, width), footer([hidden], width)
    room = output.height() - lines_of([*above, *below]) - _AROUND
    shown = sum(hit.row["id"] in searched.shown for hit in found.hits)
    if shown < len(found.hits):
        shown += _blocks(searched, search, room if fits else None)
    elif not searched.first:
        above.append("No other thread matches.")
    count = _matches(searched, search).count(shown, more=searched.more or shown < len(found.hits))
    for text in (*above, fitted(count, width), *below):
        output.say(text)


def _blocks(searched: Searched, search: "Search", room: int | None) -> int:
    """Print the threads that no first answer has shown, as many as fit into ``room`` lines. Returns
    how many that are."""
    blocks = _matches(searched, search, but=searched.shown).fitting(room)
    output.lines("\n".join(block) + "\n" for block in blocks)
    return len(blocks)


def _matches(searched: Searched, search: "Search", but: Collection[str] = ()) -> "Matches":
    from cli.render.matches import Matches

    found = zip(searched.found.hits, searched.passages, strict=False)
    left = [each for each in found if each[0].row["id"] not in but]
    hits, passages = [each[0] for each in left], [each[1] for each in left]
    return Matches(hits, passages, search.among.sort_key, searched.short_ids, searched.marks)


def _read(found: "RawFound") -> Searched:
    """What was found by reading all rollouts."""
    from state.fulltext.search import Found

    hits = Found(found.hits)
    return Searched(hits, found.passages, found.notes, found.damage, more=found.more, raw=True)


async def _indexed(searching: "Searching", search: "Search", sync: bool) -> Searched:
    notes: list[str] = []
    found = await (searching.found(notes) if sync else searching.now())
    searched = _searched(found, search, notes, answered=searching.answered)
    searched.first, searched.shown = searching.answered, searching.shown
    return searched


def _searched(
    found: "Found",
    search: "Search",
    notes: Sequence[str] = (),
    *,
    answered: bool = False,
    where: "list[list[Passage]] | None" = None,
) -> Searched:
    """What was found, with the ``notes`` and what else there is to say of it; what has
    ``answered`` is right, whatever is pending. ``where``: what matches, if it is no message."""
    from state.fulltext.hits import passages

    where = [passages(hit, search.terms) for hit in found.hits] if where is None else where
    searched = Searched(found, where, list(notes), more=found.next_cursor is not None)
    if found.pending and not answered:
        searched.notes.append(
            f"The search index is {plural(found.pending, 'thread')} behind:"
            " some matches may be missing."
        )
    if found.stopped or found.unreadable:
        from cli.runtime.raw_search import STOPPED, UNREADABLE

        unread = len(found.unreadable)
        searched.notes += [STOPPED] * found.stopped
        searched.notes += [UNREADABLE.format(plural(unread, "thread"))] * bool(unread)
    return searched


def _document(searched: Searched, here: Locations) -> dict[str, Any]:
    from cli.render.labels import marks_json
    from cli.render.matches import passage_json
    from state.query.thread_json import thread_json

    found = searched.found
    return {
        "data": [
            {
                "thread": thread_json(hit.row, here.home)
                | marks_json(searched.marks.get(hit.row["id"])),
                "matches": hit.matches,
                "hits": [passage_json(passage) for passage in where],
            }
            for hit, where in zip(found.hits, searched.passages, strict=True)
        ],
        "nextCursor": found.next_cursor,
        "backwardsCursor": found.backwards_cursor,
        "hidden": searched.hidden._asdict(),
        "complete": searched.complete,
        "damage": damage.document(searched.damage, here.home),
    }


def _lines(searched: Searched, search: "Search") -> Iterator[str]:
    from cli.render.matches import piped

    return piped(searched.found.hits, searched.passages, search.among.sort_key)
