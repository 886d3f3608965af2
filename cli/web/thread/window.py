"""Some turns of a thread, as the parts of them that make a page: a turn may be far longer than
one."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urlencode
from zlib import crc32

from markupsafe import Markup

from cli.render.blocks.block import Block
from cli.render.html.block import Served, block_html
from cli.turns.heads import Chunk, Key, KnownTurns, TurnHead
from cli.web.thread.opened import OpenThread
from state.errors import CursorNotInHistory, InvalidCursor

_ENOUGH: Final = 150_000
"""Characters of HTML that a page begins with, and loads at a time."""
_ASKED: Final = 4
"""Chunks that are asked for together."""
_ONE_CHUNK: Final = 40
"""A turn with more items has several chunks."""


class Spot(NamedTuple):
    """A chunk of a turn, as addresses name it."""

    chunk: int
    file: int
    byte: int
    id: str

    @classmethod
    def of(cls, head: TurnHead, chunk: int = 0) -> "Spot":
        return cls(chunk, *head.at, head.id)

    @classmethod
    def parsed(cls, text: str) -> "Spot":
        """Raises InvalidCursor for what is none."""
        parts = text.split(".", 3)
        try:
            chunk, file, byte = (int(part) if part.isascii() else -1 for part in parts[:3])
            if min(chunk, file, byte) < 0 or max(chunk, file, byte) >= 2**63:
                raise ValueError
            return cls(chunk, file, byte, unquote(parts[3]))
        except (ValueError, IndexError):
            raise InvalidCursor(text[:200], "it names no part of a thread") from None

    def __str__(self) -> str:
        # A NUL, for one, does not come back from an attribute of HTML as it was.
        return f"{self.chunk}.{self.file}.{self.byte}.{quote(self.id)}"

    def place(self, known: KnownTurns) -> int:
        """The place of its turn. Raises CursorNotInHistory if that is not there (any more)."""
        key = (self.id, self.file, self.byte)
        for head in known.heads:
            if head.key == key:
                return head.place
        raise CursorNotInHistory(str(self)[:200], "the thread has no such turn now")


class Piece(NamedTuple):
    """A chunk as HTML."""

    head: TurnHead
    chunk: int
    of: int
    """How many chunks the turn has."""
    html: Markup

    @property
    def spot(self) -> Spot:
        return Spot.of(self.head, self.chunk)


class Article(NamedTuple):
    """Chunks of a turn that follow each other."""

    head: TurnHead
    pieces: list[Piece]

    @property
    def begins(self) -> bool:
        """Whether it is the beginning of its turn."""
        return self.pieces[0].chunk == 0


class Window(NamedTuple):
    """Some turns, in order."""

    articles: list[Article]
    before: Spot | None
    """Where what is above begins, if there is anything."""
    after: Spot | None


def block_url(url: str, head: TurnHead, key: Key) -> str:
    """Where one block of the thread at ``url`` is."""
    words = {"turn": str(Spot.of(head)), "block": f"{key[0]}.{key[1]}"}
    return f"{url}/block?{urlencode(words)}"


def rendered_blocks(url: str, head: TurnHead, found: Iterator[tuple[Key, Block]]) -> str:
    """Blocks of the thread at ``url`` as HTML, each in an element that says which it is, and in
    which state."""
    parts = []
    for key, block in found:
        html = "".join(block_html(block, Served(block_url(url, head, key))))
        name, state = f"{key[0]}.{key[1]}", f"{crc32(html.encode('utf-8', 'replace')):08x}"
        parts.append(f'<div class="block" data-block="{name}" data-state="{state}">{html}</div>\n')
    return "".join(parts)


async def window(thread: OpenThread, known: KnownTurns, at: tuple[int, int], by: int) -> Window:
    """The turns from a place and a chunk of it on, or (``by`` -1) up to there, -1 being the last
    chunk. Raises CursorNotInHistory if one of them is gone meanwhile, and as
    :meth:`TurnSource.known` does."""
    pieces: list[Piece] = []
    following: tuple[int, int] | None = at
    size = 0
    while following is not None and size < _ENOUGH:
        asked = [*_asked(known.heads, following, by)]
        wanted = [(known.heads[place], chunk) for place, chunk in asked]
        for spot, piece in zip(asked, await _pieces(thread, wanted), strict=True):
            if spot != following:
                break  # the turn before has more chunks than it was taken for
            pieces.append(piece)
            size += len(piece.html)
            following = _beside(known.heads, piece, by)
    if by < 0:
        pieces.reverse()
    return _window(known, pieces)


def _window(known: KnownTurns, pieces: Sequence[Piece]) -> Window:
    articles: list[Article] = []
    for piece in pieces:
        if articles and articles[-1].head.key == piece.head.key:
            articles[-1].pieces.append(piece)
        else:
            articles.append(Article(piece.head, [piece]))
    if not pieces:
        return Window([], None, None)
    first, last = pieces[0], pieces[-1]
    above = first.chunk > 0 or first.head.place > 0
    below = _beside(known.heads, last, 1)
    after = None if below is None else Spot.of(known.heads[below[0]], below[1])
    return Window(articles, first.spot if above else None, after)


def above(known: KnownTurns, spot: Spot) -> tuple[int, int] | None:
    """What is before a chunk. Raises CursorNotInHistory if its turn is not there (any more)."""
    place = spot.place(known)
    if spot.chunk > 0:
        return place, spot.chunk - 1
    return (place - 1, -1) if place > 0 else None


def _asked(heads: Sequence[TurnHead], first: tuple[int, int], by: int) -> Iterator[tuple[int, int]]:
    """What is likely to follow each other: turns of one chunk behind a first one."""
    yield first
    place, taken = first[0], 1
    while heads[place].size < _ONE_CHUNK and taken < _ASKED:
        place, taken = place + by, taken + 1
        if not 0 <= place < len(heads):
            return
        yield place, 0 if by > 0 else -1


def _beside(heads: Sequence[TurnHead], piece: Piece, by: int) -> tuple[int, int] | None:
    """The chunk next to one."""
    place, chunk = piece.head.place, piece.chunk + by
    if 0 <= chunk < piece.of:
        return place, chunk
    if not 0 <= place + by < len(heads):
        return None
    return place + by, 0 if by > 0 else -1


async def _pieces(thread: OpenThread, wanted: Sequence[tuple[TurnHead, int]]) -> list[Piece]:
    source = thread.source

    def make(at: int, blocks: Iterator[tuple[Key, Block]]) -> Markup:
        return Markup(rendered_blocks(thread.url, wanted[at][0], blocks))

    async with thread.limit:
        chunks = await source.chunks(wanted, make)
    found = []
    for (head, number), chunk in zip(wanted, chunks, strict=True):
        if chunk is None:
            raise CursorNotInHistory(str(Spot.of(head)), "the thread has no such turn now")
        found.append(_piece(head, number, chunk))
    return found


def _piece(head: TurnHead, number: int, chunk: Chunk[Markup]) -> Piece:
    number = min(number, chunk.of - 1) % chunk.of
    return Piece(head, number, chunk.of, chunk.made)
