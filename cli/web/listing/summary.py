"""What is said of a list: how many threads it has, what it leaves out, why it is empty."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from cli.filter.wanted import Wanted
from cli.runtime.raw_search import UNREADABLE
from cli.terminal.hidden import up_to
from cli.terminal.text import one_line, plural, shortened
from cli.web.listing.address import Address
from cli.web.listing.find import TO_SAID, Part
from state.query.model import Counted, Hidden

_LONGEST: Final = 80


class Hint(NamedTuple):
    """What else there is, and where; without an address it is only said."""

    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """What is said of a list."""

    count: str
    """How many threads it has, as people say it."""
    onward: Hint | None
    """What comes far behind, if much is before it."""
    hidden: Sequence[Hint]
    """What it leaves out."""
    empty: Sequence[Hint]
    """Why it is empty and what to do, a line each; nothing if it is not."""
    notes: Sequence[str]
    """What cannot be understood of the text, and what may be missing."""


def summary(
    part: Part,
    counted: Counted,
    address: Address,
    wanted: Wanted,
    *,
    left_out: int,
    empty_home: str,
) -> Summary:
    """What is said of the list that begins with ``part``. ``left_out`` is how many of the threads
    that were counted it does not have, for what was said in them. ``empty_home`` says that there
    is no thread at all, else it is empty."""
    # For a file all are counted, whether they have changed it or not.
    hidden = Hidden() if wanted.file else counted.hidden
    empty: Sequence[Hint] = ()
    if not part.found and not part.cursor:
        empty = _nothing(hidden, address, wanted, empty_home)
    listed = counted._replace(listed=counted.listed - left_out)
    count = _count(part, listed, wanted)
    onward = None
    if wanted.terms and not wanted.file and part.cursor and not part.said:
        onward = Hint("then those in which it was said", address.href(TO_SAID))
    return Summary(count, onward, _hidden(hidden, address), empty, [*_notes(part, wanted)])


def _notes(part: Part, wanted: Wanted) -> Iterator[str]:
    if wanted.problem:
        yield wanted.problem
    if part.some:
        yield "No thread has all of these words. These have some of them, the best first."
    if part.pending:
        behind = plural(part.pending, "thread")
        yield f"The search index is {behind} behind: some matches may be missing."
    if part.unreadable:
        yield UNREADABLE.format(plural(part.unreadable, "thread"))


def _count(part: Part, counted: Counted, wanted: Wanted) -> str:
    listed, most = counted.listed, counted.most
    threads = f"{up_to(listed, most)} threads" if listed != 1 else "1 thread"
    if not part.found:
        return "No threads"
    if wanted.file:
        return plural(len(part.found), "thread") + (" so far" if part.cursor else "")
    if not wanted.terms:
        return threads
    said = f"{part.said:,}"
    if part.some:
        least = "more than " if part.cursor else ""
        return f"{least}{plural(part.said, 'thread')} with some of the words"
    if part.cursor:
        if not part.said:  # it goes on with more titles
            return f"{threads} by title"
        said = f"more than {said}"
    if not listed:
        return f"{said} thread{'s' * (part.said != 1 or bool(part.cursor))} by what was said"
    by_title = f"{up_to(listed, most)} by title, {said} by what was said"
    return by_title if part.cursor else f"{plural(listed + part.said, 'thread')}: {by_title}"


def _hidden(hidden: Hidden, address: Address) -> list[Hint]:
    """How many threads a list leaves out, each with how to see them."""
    parts = (
        (hidden.archived, "archived", address.adding("is", "archived")),
        (hidden.source + hidden.attached, "not interactive", address.adding("is", "hidden")),
        (hidden.empty, "empty", ""),
        (hidden.unreadable, "unreadable", "/health"),
    )
    return [Hint(f"{count:,} {what}", href) for count, what, href in parts if count]


def _nothing(hidden: Hidden, address: Address, wanted: Wanted, empty_home: str) -> list[Hint]:
    if empty_home:
        return [Hint(line.strip()) for line in empty_home.split("\n")]
    text = shortened(one_line(address.text), _LONGEST)
    said = [Hint(f"No thread matches “{text}”." if text else "No threads here.")]
    if wanted.terms:
        said.append(Hint("Names and messages are searched, not commands and what they print."))
    if hidden.archived:
        archived = plural(hidden.archived, "archived thread")
        said.append(Hint(f"Show {archived}: is:archived", address.adding("is", "archived")))
    if others := hidden.source + hidden.attached:
        scripts = f"Show {plural(others, 'thread')} of subagents and scripts: is:hidden"
        said.append(Hint(scripts, address.adding("is", "hidden")))
    if text:
        said.append(Hint("Clear the text", Address(sort=address.sort).href()))
    return said
