"""``threadkeep search``."""

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli import errors
from cli.arguments.filters import Filters, takes_filters_of_text
from cli.arguments.fleet import FleetOptions, takes_fleet
from cli.arguments.locations import Locations
from cli.arguments.options import (
    ArchivedOption,
    CursorOption,
    JsonOption,
    SyncOption,
    limit_option,
)
from cli.runtime.searched import Searched, finished_steps, in_fleet, read_of, searched_of
from cli.terminal import damage, output
from cli.terminal.cells import fitted
from cli.terminal.hidden import footer, lines_of, no_threads, not_shown
from state.errors import EmptySearch, InvalidQuery

if TYPE_CHECKING:
    from cli.render.matches import Matches
    from cli.runtime.searching import Searching
    from cli.runtime.waiting import Coverage
    from state.fulltext.search import Found, Search
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


@takes_filters_of_text
@takes_fleet
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
    fleet: FleetOptions,
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

    here = fleet.locations(context)
    if file is not None and (terms or not file.strip()):
        raise typer.BadParameter("--file takes a part of a path, and no TERM beside it")
    if file is not None and (raw or literal):
        raise typer.BadParameter("--file cannot be combined with --raw or --literal")
    if here.fleet is not None:
        _check_for_fleet(raw=raw, file=file)
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
        **fleet.filters,
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
            first = searched_of(found, search, answered=True)
            first.coverage = coverage
            await index.database.query(finished_steps(first, search, wants_ids))
            _print_first(first, here, search, as_json=as_json, on_terminal=wants_ids)

        if index.database.is_fleet:
            searched = await in_fleet(index, search, count, wants_ids)
            searched.hint = f"threadkeep show ID {fleet.words} shows a thread."
            return searched
        if file is not None:
            notes: list[str] = []
            changed = await search_changed(index, file, among, count, notes if sync else None)
            searched = searched_of(changed[0], search, notes, where=changed[1])
        elif raw:
            searched = read_of(await search_raw(index, search, count, sync))
        else:
            searching = Searching(index, search, count, show, people=wants_ids)
            searched = await _indexed(searching, search, sync)
        return await index.database.query(finished_steps(searched, search, wants_ids))

    if found is None:
        from cli.runtime.open_index import read_index

        found = read_index(here, work)
    if raw:
        output.say("All rollouts were read for this: --raw uses no index.")
    return _print(found, here, search, as_json=as_json, on_terminal=wants_ids, fits=limit is None)


def _check_for_fleet(*, raw: bool, file: str | None) -> None:
    """Refuse what a fleet does not know, and say what helps."""
    if raw:
        raise typer.BadParameter(
            "--raw reads rollouts, and a fleet has them in pieces\nsearch the messages, without"
            " --raw; or bring threads here: threadkeep pull THREAD, and search without --fleet"
        )
    if file is not None:
        raise typer.BadParameter(
            "--file asks an index which files were changed, and no machine pushes that\nsearch the"
            " messages: threadkeep search --fleet NAME; or ask on each machine, without --fleet"
        )


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
    finished = finished_steps(searched_of(found, search, where=where), search, wants_ids)
    return None if behind else reader.read(finished)


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
            complete, in_fleet = not searched.notes, here.fleet is not None
            none = no_threads(
                here.home,
                empty=searched.empty,
                complete=complete,
                fleet=in_fleet,
                machine=here.machine,
            )
            notes.append(none)
        hidden = not_shown(searched.counted.hidden, searched.counted.most)
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
    above, below = footer(notes, width), footer([searched.hint, hidden], width)
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


async def _indexed(searching: "Searching", search: "Search", sync: bool) -> Searched:
    notes: list[str] = []
    found = await (searching.found(notes) if sync else searching.now())
    searched = searched_of(found, search, notes, answered=searching.answered)
    searched.first, searched.shown = searching.answered, searching.shown
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
        "hidden": searched.counted.hidden._asdict(),
        **({"withoutMessages": searched.unsaid} if here.fleet is not None else {}),
        "complete": searched.complete,
        "damage": damage.document(searched.damage, here.home),
    }


def _lines(searched: Searched, search: "Search") -> Iterator[str]:
    from cli.render.matches import piped

    return piped(searched.found.hits, searched.passages, search.among.sort_key)
