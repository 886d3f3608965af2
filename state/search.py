"""Search what was said: threads whose messages and names hold all terms, each with its hits.

The trigrams of the terms give candidates, and the messages are read from the files to decide, which
the snippets need anyway. Threads come in the order of a list, so that of a common term only as many
are read as a page takes. Sans-IO as to the index, as :mod:`state.listing` is; the files are read in
between.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import orjson

from rollout.documents import head_of, places_of
from rollout.errors import RolloutError
from rollout.history import Find
from rollout.letters import Matcher, Term, fold
from rollout.spoken import Message, read_messages, read_spoken
from state.cursor import Cursor, decode
from state.errors import NothingToFind
from state.listing import LARGEST_PAGE, Query, Row, Steps, key_steps, rows_steps

MATCHES: Final = "matches"
"""The sort by the number of messages that match."""
MOST_RANKED: Final = 500
"""So many threads, the newest ones that match, are compared by their matches."""
MOST_SCANNED: Final = 64
"""So many threads that are not indexed yet are looked through by reading them."""
_FEW: Final = 500
"""Rows that are looked up one by one; of more, the list is walked in its order."""
_READ_US: Final = 100.0
_FETCH_US: Final = 1.5
"""What reading a thread costs, and fetching a candidate, in microseconds (measured)."""
_USUAL_HITS: Final = 25
_CHUNK: Final = 32
_MANY_DOCS: Final = 4


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for, and among which threads, in which order."""

    terms: tuple[Term, ...]
    among: Query
    ranked: bool = False
    most_hits: int = 1
    """So many hits are given of each thread."""

    def __post_init__(self) -> None:
        if not self.terms:
            raise NothingToFind

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

    def place(self) -> Cursor | None:
        """The decoded cursor. Raises :class:`state.errors.InvalidCursor`."""
        among = self.among
        if among.cursor is None:
            return None
        return decode(
            among.cursor, sort_key=self.sort_key, descending=among.descending, filters=self.digest
        )


@dataclass(frozen=True, slots=True)
class Hit:
    """A thread that matches."""

    row: Row
    head: list[str]
    """What of its name, title and preview matches."""
    messages: list[Message]
    """The first messages that match."""
    matches: int
    """How many do; if one hit is asked for, how many were seen."""
    files: tuple[str, ...]
    """The files that the messages are in, relative to the home."""


@dataclass(frozen=True, slots=True)
class Found:
    """A page of hits."""

    hits: list[Hit]
    next_cursor: str | None = None
    backwards_cursor: str | None = None
    pending: int = 0
    """Threads that were not looked through, as they are not indexed yet."""


@dataclass(slots=True)
class _Said:
    """What the index knows of a thread."""

    files: tuple[str, ...]
    head: list[str]
    docs: list[tuple[int, bytes]] = field(default_factory=list)


def search_steps(home: Path, search: Search, find: Find) -> Steps[Found]:
    """The page of hits that ``search`` asks for. ``find`` finds rollouts by their id."""
    place = search.place()
    pending = {row_id for (row_id,) in (yield (_PENDING_SQL, [MOST_SCANNED + 1]))}
    behind = 0
    if len(pending) > MOST_SCANNED:
        behind = (yield ("SELECT count(*) FROM said_pending", []))[0][0]
        pending = set()
    rows = yield from _candidates(search.terms)
    if rows is not None:
        rows |= pending
    looking = _Looking(home, search, find, pending)
    if search.ranked:
        return (yield from _ranked(looking, rows, place, behind))
    limit = search.among.limit
    found: list[tuple[int, Hit]] = []
    walk = _Walk(search.among, place, rows)
    while len(found) <= limit:
        chunk = yield from walk.more(limit + 1 - len(found))
        if not chunk:
            break
        found += yield from looking.at(chunk, limit + 1 - len(found))
    return _page(search, found, behind)


_PENDING_SQL: Final = "SELECT row_id FROM said_pending LIMIT ?"


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


def _candidates(terms: Sequence[Term]) -> Steps[set[int] | None]:
    """The rows of threads that may hold all terms; None if that may be almost any."""
    docs = (yield ("SELECT max(doc_id) FROM said_docs", []))[0][0] or 0
    rows: set[int] | None = None
    counted: list[tuple[int, str]] = []
    for term in terms:
        match = _match(term)
        if match:
            answer = yield (
                "SELECT count(*) FROM said_trigrams WHERE said_trigrams MATCH ?",
                [match],
            )
            counted.append((answer[0][0], match))
    # How many of the threads that are walked by match, if terms have nothing to do with each other.
    dense = math.prod(max(count, 1) / max(docs, 1) for count, _ in counted)
    for count, match in sorted(counted):
        walked = min(_USUAL_HITS / dense, docs if rows is None else len(rows))
        if count * _FETCH_US > walked * _READ_US:
            break
        dense /= max(count, 1) / max(docs, 1)
        holding = yield (
            "SELECT row_id FROM said_docs WHERE doc_id IN"
            " (SELECT rowid FROM said_trigrams WHERE said_trigrams MATCH ?)",
            [match],
        )
        held = {row_id for (row_id,) in holding}
        rows = held if rows is None else rows & held
    return rows


def _match(term: Term) -> str:
    """An FTS5 expression that is true wherever a term occurs; empty if there is none."""
    pieces = (piece.replace('"', '""') for piece in term.trigrams())
    return " AND ".join(f'"{piece}"' for piece in pieces)


class _Walk:
    """Walks the threads that may match in the order of the list."""

    def __init__(self, query: Query, place: Cursor | None, rows: set[int] | None) -> None:
        self._query = query
        self._place = place
        self._rows = rows
        self._few = sorted(rows) if rows is not None and len(rows) <= _FEW else None
        self._ahead: list[tuple[int, str, int]] = []
        self._done = False

    def more(self, count: int) -> Steps[list[tuple[int, str, int]]]:
        """The next few as (sort key, id, row); none at the end."""
        while not self._ahead and not self._done:
            size = _FEW if self._few is not None else LARGEST_PAGE
            keys = yield from key_steps(self._query, self._place, size, self._few)
            self._done = len(keys) < size
            if not keys:
                break
            key_ms, id_ = keys[-1]
            query = self._query
            self._place = Cursor(query.sort_key, query.descending, "", key_ms, id_)
            ids = orjson.dumps([id_ for _, id_ in keys]).decode()
            found = yield (
                "SELECT id, row_id FROM threads WHERE id IN (SELECT value FROM json_each(?))",
                [ids],
            )
            row_ids = dict(found)
            self._ahead = [
                (key, id_, row_ids[id_])
                for key, id_ in keys
                if id_ in row_ids and (self._rows is None or row_ids[id_] in self._rows)
            ]
        size = min(_CHUNK, count + 2)
        chunk, self._ahead = self._ahead[:size], self._ahead[size:]
        return chunk


class _Looking:
    """Looks into threads."""

    def __init__(self, home: Path, search: Search, find: Find, pending: set[int]) -> None:
        self._home = home
        self.search = search
        self._matcher = Matcher(search.terms)
        self._find = find
        self._pending = pending

    def at(self, keys: Sequence[tuple[int, str, int]], most: int) -> Steps[list[tuple[int, Hit]]]:
        """The hits among threads, at most so many, in their order, each with its sort key."""
        said = yield from self._known([row_id for _, _, row_id in keys])
        rows = yield from rows_steps([id_ for _, id_, _ in keys])
        found: list[tuple[int, Hit]] = []
        for key, id_, row_id in keys:
            if len(found) == most:
                break
            row = rows.get(id_)
            known = said.get(row_id)
            if row is None:
                continue
            if row_id in self._pending or known is None:
                hit = self._scanned(row)
            else:
                if len(known.docs) > _MANY_DOCS:
                    known.docs = yield from self._holding(known.docs)
                hit = self._hit(row, known.head, known.files, self._messages(known))
            if hit is not None:
                found.append((key, hit))
        return found

    def _known(self, row_ids: Sequence[int]) -> Steps[dict[int, _Said]]:
        listed = orjson.dumps(row_ids).decode()
        among = "row_id IN (SELECT value FROM json_each(?))"
        threads = yield (f"SELECT row_id, files, head FROM said_threads WHERE {among}", [listed])
        docs = yield (
            f"SELECT row_id, doc_id, places FROM said_docs WHERE {among} ORDER BY doc_id",
            [listed],
        )
        said = {
            row_id: _Said(tuple(orjson.loads(files)), head.split("\0") if head else [])
            for row_id, files, head in threads
        }
        for row_id, doc_id, places in docs:
            if row_id in said:
                said[row_id].docs.append((doc_id, places))
        return said

    def _holding(self, docs: Sequence[tuple[int, bytes]]) -> Steps[list[tuple[int, bytes]]]:
        """The documents of one thread that may hold some of the terms."""
        holding: set[int] = set()
        for term in self.search.terms:
            match = _match(term)
            if not match:
                return list(docs)
            rows = yield (
                "SELECT rowid FROM said_trigrams WHERE said_trigrams MATCH ?"
                " AND rowid BETWEEN ? AND ?",
                [match, docs[0][0], docs[-1][0]],
            )
            holding.update(doc_id for (doc_id,) in rows)
        return [doc for doc in docs if doc[0] in holding]

    def _messages(self, said: _Said) -> Iterator[Message]:
        places = (place for _, data in said.docs for place in places_of(data))
        return read_messages(self._home, said.files, places)

    def _scanned(self, row: Row) -> Hit | None:
        """What a thread that is not indexed yet has in its file."""
        preview = row["preview"] or row["fallback_preview"]
        head = head_of(row["name"], row["title"], preview).split("\0")
        try:
            spoken = read_spoken(self._home, row["rollout_path"], self._find)
        except (RolloutError, OSError):
            return self._hit(row, head, (), ())
        # A title that is in a message is that message, as in the index.
        head = [part for part in head if not any(part in each.text for each in spoken.messages)]
        return self._hit(row, head, spoken.files, spoken.messages)

    def _hit(
        self, row: Row, head: Sequence[str], files: tuple[str, ...], messages: Iterable[Message]
    ) -> Hit | None:
        matcher, missing = self._matcher, set(range(len(self.search.terms)))
        most = self.search.most_hits
        called: list[str] = []
        for part in head:
            if part and (seen := matcher.found_in(fold(part))):
                missing -= seen
                called.append(part)
        kept: list[Message] = []
        matches = len(called)
        try:
            for message in messages:
                seen = matcher.found_in(fold(message.text))
                if not seen:
                    continue
                matches += 1
                if len(kept) < most or seen & missing:
                    kept.append(message)
                missing -= seen
                if not missing and most == 1 and not self.search.ranked:
                    break
        except (RolloutError, OSError):
            pass  # the file went away just now: what it has said counts no more, sync tells
        if missing:
            return None
        return Hit(row, called, kept, matches, files)


def _ranked(
    looking: _Looking, rows: set[int] | None, place: Cursor | None, behind: int
) -> Steps[Found]:
    """The page of hits by their number of matches, of the newest threads that match."""
    search = looking.search
    walk = _Walk(search.among, None, rows)
    found: list[tuple[int, Hit]] = []
    while len(found) < MOST_RANKED and (chunk := (yield from walk.more(_CHUNK))):
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
