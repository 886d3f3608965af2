"""Search what was said: threads whose messages and names hold all terms, each with its hits.

The trigrams of the terms give candidates, and the messages are read from the files to decide, which
the snippets need anyway. Threads come in the order of a list, so that of a common term only as many
are read as a page takes. Sans-IO as to the index, as :mod:`state.query.listing` is; the files are
read in between.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import orjson

from rollout.history.segments import Find
from rollout.search.terms import Term
from state.db.steps import Steps
from state.errors import EmptySearch, InvalidQuery
from state.fulltext.candidates import CHUNK, KeysetWalk, candidate_steps
from state.fulltext.hits import Hit, HitReader
from state.query.cursor import Cursor, decode
from state.query.model import Query

MATCHES: Final = "matches"
"""The sort by the number of messages that match."""
MOST_TERMS: Final = 64
"""Each is counted in the index, and looked for in each message."""
MOST_RANKED: Final = 500
"""So many threads, the newest ones that match, are compared by their matches."""
MOST_SCANNED: Final = 64
"""So many threads that are not indexed yet are looked through by reading them."""


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for, and among which threads, in which order."""

    terms: tuple[Term, ...]
    among: Query
    ranked: bool = False
    most_hits: int = 1
    """So many hits are given of each thread."""

    def __post_init__(self) -> None:
        """Raise :class:`InvalidQuery` for no terms, or too many of them."""
        if not self.terms:
            raise EmptySearch
        if len(self.terms) > MOST_TERMS:
            raise InvalidQuery(f"at most {MOST_TERMS} terms can be looked for at once")

    @property
    def sort_key(self) -> str:
        return MATCHES if self.ranked else self.among.sort_key

    @property
    def digest(self) -> str:
        """Digest of everything that decides what is found: a cursor is good for the same only."""
        terms = [(term.pieces, term.begins, term.ends) for term in self.terms]
        told = orjson.dumps([self.among.filters, terms])
        return hashlib.blake2b(told, digest_size=6).hexdigest()

    def cursor(self, key: int, thread_id: str) -> str:
        """The cursor behind a thread."""
        among = self.among
        return Cursor(self.sort_key, among.descending, self.digest, key, thread_id).encode()

    def decoded_cursor(self) -> Cursor | None:
        """The decoded cursor. Raises :class:`state.errors.InvalidCursor`."""
        among = self.among
        if among.cursor is None:
            return None
        return decode(
            among.cursor, sort_key=self.sort_key, descending=among.descending, filters=self.digest
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A page of hits."""

    hits: list[Hit]
    next_cursor: str | None = None
    backwards_cursor: str | None = None
    pending: int = 0
    """Threads that were not looked through, as they are not indexed yet."""
    unreadable: frozenset[str] = frozenset()
    """Files that are there, and may hold what is looked for, and could not be read."""


def search_steps(home: Path, search: Search, find: Find) -> Steps[Found]:
    """The page of hits that ``search`` asks for. ``find`` finds rollouts by their id."""
    place = search.decoded_cursor()
    pending = {row_id for (row_id,) in (yield (_PENDING_SQL, [MOST_SCANNED + 1]))}
    behind = 0
    if len(pending) > MOST_SCANNED:
        behind = (yield ("SELECT count(*) FROM fulltext_pending", []))[0][0]
        pending = set()
    rows = yield from candidate_steps(search.terms)
    if rows is not None:
        rows |= pending
    looking = HitReader(home, search.terms, search.most_hits, find, pending, count=search.ranked)
    if search.ranked:
        page = yield from _ranked(search, looking, rows, place, behind)
        return replace(page, unreadable=frozenset(looking.unreadable))
    limit = search.among.limit
    found: list[tuple[int, Hit]] = []
    walk = KeysetWalk(search.among, place, rows)
    while len(found) <= limit:
        chunk = yield from walk.more(limit + 1 - len(found))
        if not chunk:
            break
        found += yield from looking.at(chunk, limit + 1 - len(found))
    return replace(_page(search, found, behind), unreadable=frozenset(looking.unreadable))


_PENDING_SQL: Final = "SELECT row_id FROM fulltext_pending LIMIT ?"


def _page(search: Search, found: list[tuple[int, Hit]], behind: int) -> Found:
    limit, among = search.among.limit, search.among
    hits = [hit for _, hit in found[:limit]]
    if not hits:
        return Found([], pending=behind)
    key, last = found[:limit][-1]
    following = search.cursor(key, last.row["id"]) if len(found) > limit else None
    other = replace(search, among=replace(among, descending=not among.descending, cursor=None))
    # As in a list: the opposite page begins with the first entry itself.
    step = -1 if among.descending else 1
    back = other.cursor(found[0][0] + step, "\U0010ffff" if among.descending else "")
    return Found(hits, following, None if search.ranked else back, behind)


def _ranked(
    search: Search,
    looking: HitReader,
    rows: set[int] | None,
    place: Cursor | None,
    behind: int,
) -> Steps[Found]:
    """The page of hits by their number of matches, of the newest threads that match."""
    walk = KeysetWalk(search.among, None, rows)
    found: list[tuple[int, Hit]] = []
    while len(found) < MOST_RANKED and (chunk := (yield from walk.more(CHUNK))):
        found += yield from looking.at(chunk, MOST_RANKED - len(found))
    descending = search.among.descending
    order = sorted(
        ((hit.matches, hit.row["id"], hit) for _, hit in found),
        key=lambda entry: entry[:2],
        reverse=descending,
    )
    if place is not None:
        at = (place.key_ms, place.thread_id)
        order = [each for each in order if (each[:2] < at) == descending and each[:2] != at]
    limit = search.among.limit
    return _page(search, [(matches, hit) for matches, _, hit in order[: limit + 1]], behind)
