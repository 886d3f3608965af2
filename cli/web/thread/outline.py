"""The prompts of a thread beside its turns, some at a time."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from cli.terminal.text import amount, iso, local, plural, shortened
from cli.turns.heads import KnownTurns, OutlineEntry, TurnHead
from cli.web.thread.opened import OpenThread
from cli.web.thread.window import Spot

PAGE: Final = 200
"""Turns that are listed together."""
_LONGEST: Final = 160


class Listed(NamedTuple):
    """A turn in the list."""

    head: TurnHead
    spot: Spot
    prompt: str
    began: str
    """For a script ..."""
    clock: str
    """... and for people."""
    day: str
    """Its day, where that is another one than that of the turn above."""
    facts: str
    failed: str


class Listing(NamedTuple):
    """Some turns in the list."""

    turns: list[Listed]
    page: int
    pages: int
    finished: bool
    """Whether it is told what came of them."""


async def listing(thread: OpenThread, known: KnownTurns, page: int, patience_s: float) -> Listing:
    """One page of the list, from 0; what came of the turns where that is known within a time.
    Raises as :meth:`TurnSource.known` does."""
    pages = -(-len(known.heads) // PAGE)
    page = min(page, max(pages - 1, 0))
    heads = known.heads[page * PAGE : (page + 1) * PAGE]
    every = None if known.partial else await thread.outline_within(patience_s)
    if every is None:
        async with thread.limit:
            entries = await thread.source.prompts(heads)
    else:
        entries = [every.get(head.key, OutlineEntry("")) for head in heads]
    return Listing([*_listed(heads, entries)], page, pages, every is not None)


def _listed(heads: Sequence[TurnHead], entries: Sequence[OutlineEntry]) -> list[Listed]:
    found, last = [], ""
    for head, entry in zip(heads, entries, strict=True):
        began = local(head.started_ms)
        day, _, clock = began.partition(" ")
        facts = (
            plural(entry.files, "file") if entry.files else "",
            f"{amount(entry.tokens)} tokens" if entry.tokens else "",
            head.status,
        )
        failed = f"{entry.failures:,} failed" if entry.failures else ""
        found.append(
            Listed(
                head,
                Spot.of(head),
                shortened(entry.prompt, _LONGEST),
                iso(head.started_ms),
                clock,
                day if day != last else "",
                " · ".join(filter(None, facts)),
                failed,
            )
        )
        last = day or last
    return found
