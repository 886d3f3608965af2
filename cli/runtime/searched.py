"""What a search has found, and what there is to say of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cli.terminal.hidden import up_to
from cli.terminal.text import plural
from rollout.errors import Damage

if TYPE_CHECKING:
    from cli.runtime.raw_search import RawFound
    from cli.runtime.waiting import Coverage
    from state.db.steps import Steps
    from state.fulltext.hits import Passage
    from state.fulltext.search import Found, Search
    from state.query.marks import Marks
    from state.query.model import Counted
    from state.thread_index import ThreadIndex


@dataclass(slots=True)
class Searched:
    """What a search command found."""

    found: "Found"
    passages: list[list["Passage"]]
    notes: list[str]
    damage: list[Damage] = field(default_factory=list)
    """Where the files that were read break off."""
    counted: "Counted" = field(init=False)
    """How many threads there are to be searched, and what was not searched."""
    empty: bool = False
    """Whether the home has neither threads nor unreadable files."""
    more: bool = False
    """Whether more threads match."""
    raw: bool = False
    short_ids: dict[str, str] = field(default_factory=dict)
    marks: "dict[str, Marks]" = field(default_factory=dict)
    """What users have put on the threads, by id."""
    unsaid: int = 0
    """Threads of a fleet of which it has no messages."""
    hint: str = ""
    """How to read a thread that was found, where that is another command than usual."""
    coverage: "Coverage | None" = None
    """How much was searched, for a first answer."""
    first: bool = False
    """Whether it was printed as the first answer."""
    shown: set[str] = field(default_factory=set)
    """The threads that the first answer has shown."""

    @property
    def complete(self) -> bool:
        """Whether everything was searched."""
        unsearched = self.raw and (self.counted.hidden.unreadable or self.more)
        stopped = self.found.stopped or self.unsaid
        return not (self.notes or self.damage or unsearched or stopped or self.coverage)


def searched_of(
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
    more = found.next_cursor is not None and not found.stopped
    searched = Searched(found, where, list(notes), more=more)
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


def read_of(found: "RawFound") -> Searched:
    """What was found by reading all rollouts."""
    from state.fulltext.search import Found

    hits = Found(found.hits)
    return Searched(hits, found.passages, found.notes, found.damage, more=found.more, raw=True)


async def in_fleet(index: "ThreadIndex", search: "Search", count: int, wants_ids: bool) -> Searched:
    """What a fleet has, of the messages that its machines push."""
    from state.fleet.reading.fulltext.headers import unsaid_steps
    from state.fulltext.search import search as search_fleet

    among = search.among
    searched = searched_of(await search_fleet(index, search, count), search)
    counted = await index.count(among)
    if unsaid := await index.read(lambda: unsaid_steps(among), among):
        searched.unsaid = unsaid
        searched.notes.append(
            f"Messages of {up_to(unsaid, counted.most)} of {up_to(counted.listed, counted.most)}"
            " threads are not searched, as they were pushed at level metadata: these are found by"
            " name, title and preview. Of copies on several machines the newest counts; --machine"
            " NAME searches those of one. threadkeep push --level text on a machine pushes its"
            " messages."
        )
    if searched.found.stopped:
        cursor = searched.found.next_cursor
        searched.notes.append(
            "Not all threads were searched: too many may match, and do not. Name a rarer word, or"
            " a span by --since and --until"
            + (f", or go on with --cursor {cursor}" if cursor else "")
        )
    return await index.read(lambda: finished_steps(searched, search, wants_ids, counted), among)


def finished_steps(
    searched: Searched, search: "Search", wants_ids: bool, of_fleet: "Counted | None" = None
) -> "Steps[Searched]":
    """``searched`` with what the index has to say of it."""
    from state.query.listing import any_steps, count_steps, short_id_steps
    from state.query.marks import marks_steps

    searched.notes = [note for note in searched.notes if note]
    searched.counted = of_fleet or (yield from count_steps(search.among))
    searched.empty = not (searched.found.hits or (yield from any_steps()))
    ids = [hit.row["id"] for hit in searched.found.hits]
    searched.marks = yield from marks_steps(ids)
    if wants_ids:
        searched.short_ids = yield from short_id_steps(ids)
    return searched
