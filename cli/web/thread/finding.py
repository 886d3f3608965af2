"""A search in one thread, told as it goes on."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Final

from cli.filter.wanted import typed_terms
from cli.render.blocks.block import Block
from cli.terminal.cells import around, settled_pieces
from cli.turns.block_text import spans_of, texts_of
from cli.turns.heads import Hit, Key, KnownTurns
from cli.turns.search import Found, search
from cli.web.thread.opened import OpenThread
from cli.web.thread.window import Spot
from rollout.search.terms import Matcher, Term
from state.errors import EmptySearch

_MOST_PLACES: Final = 1_000
"""Blocks with matches that are told."""
_LINE: Final = 140
_MOST_TEXT: Final = 400
"""Characters of a text on both sides of a match that its line is cut from."""


def matcher_of(text: str, *, words: bool) -> Matcher:
    """What finds a text, or (``words``) what a search in the list finds. Raises EmptySearch if
    there is nothing to look for."""
    term = Term.of(text)
    terms = typed_terms(text) if words else (term,) if term else ()
    if not terms:
        raise EmptySearch
    return Matcher(terms)


async def told(
    thread: OpenThread, matcher: Matcher, near: Spot | None
) -> AsyncGenerator[dict[str, Any]]:
    """What is found, as it is found: first the pieces of what is looked for, then parts with how
    much was searched, and the blocks with matches, each once; what is ``near`` first. Raises
    CursorNotInHistory, and as :meth:`TurnSource.known` does."""
    yield {"terms": [term.pieces for term in matcher.terms]}
    async with aclosing(thread.until_whole()) as read:
        async for part in read:
            yield {"read": round(part, 3)}
    known = await thread.known()
    at = near.place(known) if near else len(known.heads) - 1
    found, seen = Found(), set[tuple[int, Key]]()
    async with aclosing(_search(thread, known, matcher, at, found)) as parts:
        async for part in parts:
            new = [hit for hit in _firsts(found.hits) if (hit.place, hit.key) not in seen]
            new = new[: max(_MOST_PLACES - len(seen), 0)]
            seen.update((hit.place, hit.key) for hit in new)
            places = await _places(thread, known, matcher, new)
            yield {"part": round(part, 3), "places": places}
            if len(seen) >= _MOST_PLACES:
                break
    yield {"done": True, "matches": len(found.hits), "more": len(seen) >= _MOST_PLACES}


async def first_found(thread: OpenThread, known: KnownTurns, matcher: Matcher) -> Hit | None:
    """The first match in a block that has the most of the terms."""
    found = Found()
    async with aclosing(_search(thread, known, matcher, len(known.heads) - 1, found)) as parts:
        async for _ in parts:
            pass
    return found.fullest


async def _search(
    thread: OpenThread, known: KnownTurns, matcher: Matcher, near: int, found: Found
) -> AsyncGenerator[float]:
    parts: AsyncIterator[float] = search(thread.source, known.heads, matcher, near, found)
    while True:
        async with thread.limit:  # for a part at a time: others are answered in between
            try:
                part = await anext(parts)
            except StopAsyncIteration:
                return
        yield part


def _firsts(hits: Sequence[Hit]) -> Iterator[Hit]:
    """The first match of each block."""
    last: tuple[int, Key] | None = None
    for hit in hits:
        if (hit.place, hit.key) != last:
            last = hit.place, hit.key
            yield hit


async def _places(
    thread: OpenThread, known: KnownTurns, matcher: Matcher, hits: Sequence[Hit]
) -> list[dict[str, Any]]:
    """Blocks with matches, for a script: where each is, and the line that it is known by."""
    chunks: dict[tuple[int, int], list[Hit]] = {}
    for hit in hits:
        chunks.setdefault((hit.place, hit.chunk), []).append(hit)
    wanted = [*chunks]

    def lines(at: int, blocks: Iterator[tuple[Key, Block]]) -> dict[Key, tuple[str, list[Any]]]:
        keys = {hit.key for hit in chunks[wanted[at]]}
        return {key: (block.role, _line(block, matcher)) for key, block in blocks if key in keys}

    async with thread.limit:
        made = await thread.source.chunks(
            [(known.heads[place], chunk) for place, chunk in wanted], lines
        )
    told_places = []
    for (place, chunk), found in zip(wanted, made, strict=True):
        head = known.heads[place]
        for hit in chunks[place, chunk]:
            role, line = found.made.get(hit.key, ("", [])) if found else ("", [])
            told_places.append(
                {
                    "spot": str(Spot.of(head, chunk)),
                    "turn": str(Spot.of(head)),
                    "number": head.number,
                    "order": [place, *hit.key],
                    "block": f"{hit.key[0]}.{hit.key[1]}",
                    "terms": hit.terms,
                    "role": role,
                    "line": line,
                }
            )
    return told_places


def _line(block: Block, matcher: Matcher) -> list[tuple[str, bool]]:
    """What is around the first match in a block, in pieces, each with whether it matches."""
    text = "\n".join(texts_of(block))
    spans = spans_of(block, matcher)
    if not spans:
        return []
    begin = max(spans[0][0] - _MOST_TEXT, 0)
    end = spans[0][1] + _MOST_TEXT
    inside = [(start - begin, stop - begin) for start, stop in spans if stop <= end]
    return around(settled_pieces(text[begin:end], inside), _LINE)
