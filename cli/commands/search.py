"""``threadkeep search``: threads by what was said in them."""

import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import typer

from cli import errors
from cli.arguments.locations import Locations
from cli.commands.list import report_hidden
from cli.render.labels import folder, label
from cli.terminal import damage, output
from cli.terminal.progress import progress
from cli.terminal.text import age, iso, one_line, one_line_marked, plural
from rollout.errors import Damage
from state.fulltext.hits import Hit, Passage, passages
from state.fulltext.search import Found, Search
from state.query.model import LARGEST_PAGE, Hidden
from state.query.thread_json import thread_json

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex

HITS_SHOWN = 3
"""So many messages of a thread are shown on a terminal ..."""
HITS_KEPT = 20
"""... and so many elsewhere."""
_UNREAD = "{} may hold it too, and could not be read: threadkeep explain tells why."


@dataclass(slots=True)
class Searched:
    """What a search command found."""

    found: Found
    passages: list[list[Passage]]
    short_ids: dict[str, str]
    notes: list[str]
    damage: list[Damage] = field(default_factory=list)
    """Where files that were read for it break off."""
    hidden: Hidden = field(default_factory=Hidden)
    """What was not looked through."""
    raw: bool = False

    @property
    def complete(self) -> bool:
        """Whether all that there is was looked through."""
        return not (self.notes or self.damage or (self.raw and self.hidden.unreadable))


def run(locations: Locations, search: Search, count: int, *, sync: bool, as_json: bool) -> int:
    """Search, and show up to ``count`` threads. Gives the exit status."""
    from cli.runtime.open_index import read_index

    wants_ids = not as_json and output.on_terminal()
    searched = read_index(locations, lambda index: _work(index, search, count, sync, wants_ids))
    return _shown(searched, locations, search, as_json=as_json, wants_ids=wants_ids)


def _shown(
    searched: Searched, locations: Locations, search: Search, *, as_json: bool, wants_ids: bool
) -> int:
    if as_json:
        output.data(_document(searched, locations))
    elif wants_ids:
        _blocks(searched, search)
    else:
        output.lines(_lines(searched, search))
    for note in searched.notes:
        output.say(note)
    for sentence in damage.sentences(searched.damage, locations.home, "was looked through"):
        output.say(sentence)
    if not as_json:
        if not searched.found.hits:
            output.say("Nothing found.")
        report_hidden(searched.hidden)
        if searched.found.next_cursor:
            output.say("There are more: --limit N shows them.")
    return errors.OK if searched.found.hits else errors.NO_MATCH


def run_raw(locations: Locations, search: Search, count: int, *, sync: bool, as_json: bool) -> int:
    """Read all rollouts, and show up to ``count`` threads. Gives the exit status."""
    from cli.runtime.open_index import read_index

    if search.ranked or search.among.cursor is not None:
        raise typer.BadParameter("--raw goes with neither --sort matches nor --cursor")
    wants_ids = not as_json and output.on_terminal()
    searched = read_index(locations, lambda index: _raw(index, search, count, sync, wants_ids))
    output.say("Rollouts were read as a whole for this: nothing is indexed for --raw.")
    return _shown(searched, locations, search, as_json=as_json, wants_ids=wants_ids)


async def _raw(
    index: "ThreadIndex", search: Search, count: int, sync: bool, wants_ids: bool
) -> Searched:
    from cli.runtime.open_index import catch_up
    from state.fulltext.grep import raw_search

    notes = [await catch_up(index)] if sync else []
    hits: list[Hit] = []
    where: list[list[Passage]] = []
    cut: list[Damage] = []
    unread: list[str] = []
    with progress("reading") as report:
        found = raw_search(
            index,
            search.terms,
            search.among,
            most_hits=search.most_hits,
            damage=cut,
            unreadable=unread,
            report=report,
        )
        async with aclosing(found):
            async for row, raw in found:
                if len(hits) == count:
                    notes.append("There are more: --limit N shows them.")
                    break
                hits.append(Hit(row, [], [], raw.matches))
                where.append([Passage(each.kind, each.snippet) for each in raw.hits])
    if unread:
        notes.append(_UNREAD.format(plural(len(unread), "thread")))
    hidden = await index.hidden(search.among)
    short = await index.short_ids([hit.row["id"] for hit in hits]) if wants_ids else {}
    return Searched(
        Found(hits), where, short, [note for note in notes if note], cut, hidden, raw=True
    )


async def _work(
    index: "ThreadIndex", search: Search, count: int, sync: bool, wants_ids: bool
) -> Searched:
    from cli.runtime.open_index import catch_up, catch_up_fulltext
    from state.fulltext.search import search as look

    notes = []
    if sync:
        notes = [await catch_up(index), await catch_up_fulltext(index)]
    pages: list[Found] = []
    left = count
    while left > 0:
        among = replace(search.among, limit=min(left, LARGEST_PAGE))
        if pages:
            among = replace(among, cursor=pages[-1].next_cursor)
        pages.append(await look(index, replace(search, among=among)))
        left -= len(pages[-1].hits)
        if pages[-1].next_cursor is None:
            break
    hits = [hit for page in pages for hit in page.hits]
    found = replace(pages[0], hits=hits, next_cursor=pages[-1].next_cursor)
    if found.pending:
        notes.append(
            f"{plural(found.pending, 'thread')} could not be looked through yet:"
            " they are still being indexed."
        )
    if unread := {path for page in pages for path in page.unreadable}:
        notes.append(_UNREAD.format(plural(len(unread), "thread")))
    where = [passages(hit, search.terms) for hit in hits]
    short = await index.short_ids([hit.row["id"] for hit in hits]) if wants_ids else {}
    hidden = await index.hidden(search.among)
    notes = [note for note in notes if note]
    return Searched(found, where, short, notes, hidden=hidden)


def _document(searched: Searched, locations: Locations) -> dict[str, Any]:
    found = searched.found
    return {
        "data": [
            {
                "thread": thread_json(hit.row, locations.home),
                "matches": hit.matches,
                "hits": [_place_json(place) for place in where],
            }
            for hit, where in zip(found.hits, searched.passages, strict=True)
        ],
        "nextCursor": found.next_cursor,
        "backwardsCursor": found.backwards_cursor,
        "hidden": asdict(searched.hidden),
        "complete": searched.complete,
        "damage": damage.document(searched.damage, locations.home),
    }


def _place_json(place: Passage) -> dict[str, Any]:
    return {
        "kind": place.kind,
        "turnId": place.turn_id,
        "itemId": place.item_id,
        "snippet": place.snippet.text,
        "ranges": [{"start": start, "end": end} for start, end in place.snippet.spans],
    }


def _time(hit: Hit, search: Search) -> int:
    return int(hit.row[f"{search.among.sort_key}_ms"])


def _lines(searched: Searched, search: Search) -> Iterator[str]:
    """For pipes: one message a line, tab-separated."""
    for hit, where in zip(searched.found.hits, searched.passages, strict=True):
        for place in where:
            values = (
                hit.row["id"],
                iso(_time(hit, search)),
                place.kind,
                place.turn_id or "",
                place.item_id or "",
                place.snippet.text,
            )
            yield "\t".join(one_line(value) for value in values)


_WHO = {"userMessage": "you", "agentMessage": "agent", "name": "name"}


def _blocks(searched: Searched, search: Search) -> None:
    import os

    from rich.text import Text

    home = os.path.expanduser("~")
    now_ms = time.time_ns() // 1_000_000
    blocks: list[Text] = []
    for hit, where in zip(searched.found.hits, searched.passages, strict=True):
        head = Text(one_line(label(hit.row)), style="bold", no_wrap=True)
        head.truncate(max(output.width() - 50, 20), overflow="ellipsis")
        about = [age(_time(hit, search), now_ms), folder(hit.row["cwd"], home)]
        if hit.row["archived"]:
            about.append("archived")
        head.append(f"  {'  '.join(part for part in about if part)}  ", style="dim not bold")
        head.append(searched.short_ids[hit.row["id"]], style="cyan not bold")
        blocks.append(head)
        for place in where[:HITS_SHOWN]:
            blocks.append(_marked(place))
        rest = hit.matches - len(where[:HITS_SHOWN])
        if rest > 0:
            blocks.append(Text(f"         and {rest:,} more", style="dim"))
    output.texts(blocks)


def _marked(place: Passage) -> Any:
    from rich.text import Text

    line = Text(f"  {_WHO.get(place.kind, place.kind):>5}  ", style="dim")
    for piece, marked in one_line_marked(place.snippet.text, place.snippet.spans):
        line.append(piece, style="not dim bold yellow" if marked else "not dim")
    return line
