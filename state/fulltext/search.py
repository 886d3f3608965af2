"""Search messages and headers: the threads that hold all terms, each with its hits.

The trigrams of the terms give candidates, and their messages are read from the files to decide,
which the snippets need anyway. Threads come in the order of a list, so that of a common term only
as many are read as a page takes. No transaction is open while files are read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from rollout.files.digest import blake2b
from rollout.search.terms import Term
from state.db.sql import AMONG, listed
from state.db.steps import LAST_TEXT, Steps
from state.errors import EmptySearch, IndexBusy, InvalidQuery
from state.fulltext.candidates import Candidates, KeysetWalk, candidate_steps
from state.fulltext.due import UNREAD
from state.fulltext.hits import Candidate, Hit, HitReader, Match
from state.query.cursor import Cursor, decode
from state.query.listing import key_steps
from state.query.model import Page, Query
from state.query.rows import Row, is_fresh, rows_steps
from state.rollout_locator import locator

if TYPE_CHECKING:
    from state.sync.unread import Unread
    from state.thread_index import ThreadIndex

MATCHES: Final = "matches"
"""The sort by the number of messages that match."""
MOST_TERMS: Final = 64
"""Each is counted in the index, and searched for in each message."""
MOST_RANKED: Final = 500
"""So many of the newest threads that match are ranked by their matches."""
MOST_SCANNED: Final = 64
"""So many threads that are not indexed yet are searched by reading their files."""
_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Search:
    """What to search for, in which threads and in which order."""

    terms: tuple[Term, ...]
    among: Query
    ranked: bool = False
    most_hits: int = 1
    """How many messages of each thread are given."""

    def __post_init__(self) -> None:
        """Raise :class:`InvalidQuery` for no terms, or too many of them."""
        if not self.terms:
            raise EmptySearch
        if len(self.terms) > MOST_TERMS:
            raise InvalidQuery(f"at most {MOST_TERMS} terms can be searched for at once")

    @property
    def sort_key(self) -> str:
        return MATCHES if self.ranked else self.among.sort_key

    @property
    def digest(self) -> str:
        """Digest of all that decides what is found; a cursor is valid for the same digest."""
        terms = [(term.pieces, term.begins, term.ends) for term in self.terms]
        decisive = orjson.dumps([self.among.filters, terms])
        return blake2b(decisive, digest_size=6).hexdigest()

    def cursor(self, key: int, thread_id: str) -> str:
        """The cursor behind a thread."""
        among = self.among
        return Cursor(self.sort_key, among.descending, self.digest, key, thread_id).encode()

    def decoded_cursor(self) -> Cursor | None:
        """The decoded cursor. Raises :class:`state.errors.InvalidCursor`."""
        among = self.among
        if among.cursor is None:
            return None
        return decode(among.cursor, self.sort_key, among.descending, self.digest)


class Found(NamedTuple):
    """A page of hits."""

    hits: list[Hit]
    next_cursor: str | None = None
    backwards_cursor: str | None = None
    pending: int = 0
    """Threads that were not searched, because they are not indexed yet."""
    unreadable: frozenset[str] = frozenset()
    """Files that exist and may match, but could not be read."""
    stopped: bool = False
    """Whether a fleet was searched no further than to the next cursor: there are too many threads
    that may match, and do not."""


async def search(index: "ThreadIndex", wanted: Search, count: int | None = None) -> Found:
    """The page of hits that ``wanted`` asks for, or as many pages as have ``count`` hits. Threads
    whose files have gone are not among them, and those whose files have changed are looked at
    again. Raises InvalidCursor if the cursor is not one of this search."""
    if index.search is not None:
        elsewhere: Found = await index.search(wanted, count)
        return elsewhere
    read = index.database.query_here  # all in one thread: going to one costs more than a query
    for _ in range(_ROUNDS):
        looking = partial(search_steadily, index.home, read, wanted, count)
        found, stale = await index.database.workers.run(looking)
        if not stale:
            break
        try:
            await index.refresh([row["rollout_path"] for row in stale])
        except IndexBusy:
            break  # what is shown was read from the files just now
    return found


def extent_steps() -> Steps[tuple[int, int]]:
    """How many threads there are, and of how many the messages are still to be indexed."""
    asked = "SELECT (SELECT count(*) FROM threads), (SELECT count(*) FROM fulltext_pending)"
    threads, pending = (yield (asked, []))[0]
    return int(threads), int(pending)


def settled_steps(wanted: Search, found: Found, unread: "Unread") -> Steps[bool]:
    """Whether neither ``unread`` files nor threads whose messages are not indexed yet can change
    what was ``found``."""
    from state.query.settled import least_key, may_be_early, missing_steps

    among = wanted.among
    if wanted.ranked or not may_be_early(among):
        return False
    page = Page([hit.row for hit in found.hits], found.next_cursor)
    if found.pending:
        least = least_key(among, page)
        latest = (
            f"SELECT max({among.sort_key}_ms) FROM threads"
            " WHERE row_id IN (SELECT row_id FROM fulltext_pending)"
        )
        if least is None or ((yield (latest, []))[0][0] or least) >= least:
            return False
    return (yield from missing_steps(among, page, unread)) is None


def following_page(wanted: Search, pages: Sequence[Found], count: int | None) -> Search | None:
    """The search for the page behind ``pages``; None if they have the ``count`` hits that are
    wanted, by default those of one page, or if there are no more."""
    left = (count or wanted.among.limit) - sum(len(page.hits) for page in pages)
    if left <= 0 or (pages and (pages[-1].next_cursor is None or pages[-1].stopped)):
        return None
    among = replace(wanted.among, limit=left)
    if pages:
        among = replace(among, cursor=pages[-1].next_cursor)
    return replace(wanted, among=among)


def joined(pages: Sequence[Found]) -> Found:
    """Pages that follow each other as one."""
    return pages[0]._replace(
        hits=[hit for page in pages for hit in page.hits],
        next_cursor=pages[-1].next_cursor,
        unreadable=frozenset().union(*(page.unreadable for page in pages)),
        stopped=pages[-1].stopped,
    )


_Read = Callable[[Steps[Any]], Any]
"""Gives what steps give."""


def search_steadily(
    home: Path, read: _Read, wanted: Search, count: int | None = None
) -> tuple[Found, list[Row]]:
    """As :func:`search`, by the index as it is, and those of the threads found whose files have
    changed since."""
    pages: list[Found] = []
    while (following := following_page(wanted, pages, count)) is not None:
        pages.append(_searched(home, read, following))
    found = joined(pages)
    return found, [hit.row for hit in found.hits if not is_fresh(home, hit.row)]


def _searched(home: Path, read: _Read, search: Search) -> Found:
    cursor = search.decoded_cursor()
    most = MOST_RANKED if search.ranked else search.among.limit + 1
    candidates, pending, behind = read(_start_steps(search, most))
    unread = read(_unread_steps(search.among))
    find = locator(home, read)
    reader = HitReader(home, search.terms, search.most_hits, find, pending, search.ranked)
    walk = KeysetWalk(search.among, None if search.ranked else cursor, candidates, pending)
    found: list[Match] = []
    while len(found) < most:
        left = most - len(found)
        following = read(_next_steps(walk, reader, left))
        if following is None:
            break
        found += reader.read(following, left)
    if search.ranked:
        found = ranked_of(search, found, cursor)
    rows = read(rows_steps([match.key[2] for match in found[: search.among.limit]], "row_id"))
    unreadable = unread.union(reader.unreadable)
    return page_of(search, found, rows, behind)._replace(unreadable=unreadable)


def _start_steps(search: Search, most: int) -> Steps[tuple[Candidates, set[int], int]]:
    """What may match; rows that are not indexed yet and are read from their files; and how many of
    those there are, if they are too many for that."""
    rows = yield ("SELECT row_id FROM fulltext_pending LIMIT ?", [MOST_SCANNED + 1])
    pending = {row_id for (row_id,) in rows}
    behind = 0
    if len(pending) > MOST_SCANNED:
        behind = (yield ("SELECT count(*) FROM fulltext_pending", []))[0][0]
        pending = set()
    return (yield from candidate_steps(search.terms, most)), pending, behind


def _unread_steps(among: Query) -> Steps[frozenset[str]]:
    """The files of those threads among which is searched that had a file that could not be read
    when their messages were due."""
    unread = yield (f"SELECT row_id FROM fulltext_threads WHERE version = {UNREAD}", [])
    if not unread:
        return frozenset()
    keys = yield from key_steps(among, None, len(unread), [row_id for (row_id,) in unread])
    paths = yield (
        f"SELECT rollout_path FROM threads WHERE row_id {AMONG}",
        [listed(row_id for _, _, row_id in keys)],
    )
    return frozenset(path for (path,) in paths)


def _next_steps(walk: KeysetWalk, reader: HitReader, count: int) -> Steps[list[Candidate] | None]:
    """The next candidates; None at the end."""
    keys = yield from walk.more(count)
    return (yield from reader.candidate_steps(keys)) if keys else None


def page_of(search: Search, found: list[Match], rows: Mapping[str, Row], behind: int) -> Found:
    """The page of the first matches, if there is one more than it has room for with a cursor."""
    limit, among = search.among.limit, search.among
    shown = found[:limit]
    hits = [Hit(rows[match.key[1]], *match[1:]) for match in shown if match.key[1] in rows]
    if not hits:
        return Found([], pending=behind)
    following = search.cursor(*shown[-1].key[:2]) if len(found) > limit else None
    other = replace(search, among=replace(among, descending=not among.descending, cursor=None))
    # As in a list: the opposite page begins with the first entry itself.
    step = -1 if among.descending else 1
    back = other.cursor(found[0].key[0] + step, LAST_TEXT if among.descending else "")
    return Found(hits, following, None if search.ranked else back, behind)


def ranked_of(search: Search, found: list[Match], cursor: Cursor | None) -> list[Match]:
    """The matches of a page, and one more, by their number, which becomes their sort key."""
    descending = search.among.descending
    ranked = [match._replace(key=(match.matches, *match.key[1:])) for match in found]
    if cursor is not None:
        at = (cursor.key_ms, cursor.thread_id)
        ranked = [
            each for each in ranked if (each.key[:2] < at) == descending and each.key[:2] != at
        ]
    ranked.sort(key=lambda match: match.key, reverse=descending)
    return ranked[: search.among.limit + 1]
