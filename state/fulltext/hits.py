"""What threads hold of the terms that are searched for, by reading the messages that may match."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from rollout.errors import SHORTAGES, RolloutError
from rollout.history.segments import Find
from rollout.search.documents import header_of, locations_of
from rollout.search.extract import read_thread_messages
from rollout.search.messages import Location, Message, read_messages
from rollout.search.normalize import casefold
from rollout.search.snippet import Snippet, snippet
from rollout.search.terms import Matcher, Term
from state.db.sql import AMONG, listed
from state.db.steps import MalformedRow, Steps
from state.errors import OutOfResources
from state.fulltext.candidates import match_of
from state.query.listing import Key
from state.query.rows import Row, rows_steps

_MANY_DOCUMENTS: Final = 4
"""Of a thread with more of them, those that may match are looked up first."""


class Hit(NamedTuple):
    """A thread that matches."""

    row: Row
    header: list[str]
    """What of its name, title and preview matches."""
    messages: list[Message]
    """The first messages that match."""
    matches: int
    """How many do; if one hit is asked for, how many were seen."""


class Passage(NamedTuple):
    """A match in a thread."""

    kind: str
    """``userMessage``, ``agentMessage``, or ``name`` for its name, title or preview."""
    snippet: Snippet
    turn_id: str | None = None
    item_id: str | None = None


def passages(hit: Hit, terms: Sequence[Term]) -> list[Passage]:
    """Where the terms are in a thread."""
    matcher = Matcher(terms)
    found = [Passage("name", snippet(part, matcher)) for part in hit.header]
    for message in hit.messages:
        # Neither is known where an earlier version of this program has indexed the thread.
        ids = (message.turn_id, message.item_id) if message.item_id else (None, None)
        found.append(Passage(message.kind, snippet(message.text, matcher), *ids))
    return found


_DocumentRow = tuple[int, bytes, str]
"""The number of a document, and where its messages are, as :func:`locations_of` reads it."""


@dataclass(slots=True)
class _Indexed:
    """What the index holds of a thread."""

    files: tuple[str, ...]
    header: list[str]
    documents: list[_DocumentRow] = field(default_factory=list)
    """Those that may match."""
    locations: list[Location] = field(default_factory=list)
    """Of the messages in them."""


class Candidate(NamedTuple):
    """A thread that may match."""

    key: Key
    indexed: _Indexed | None
    row: Row | None
    """If it is not indexed: its file has to be read as a whole."""


class Match(NamedTuple):
    """A thread that matches; the fields are those of :class:`Hit`."""

    key: Key
    header: list[str]
    messages: list[Message]
    matches: int


def _locations(indexed: _Indexed) -> list[Location]:
    try:
        found = [
            location
            for _, data, item_ids in indexed.documents
            for location in locations_of(data, item_ids)
        ]
    except (ValueError, TypeError):
        raise MalformedRow("a row of fulltext_documents") from None
    if any(location.file >= len(indexed.files) for location in found):
        raise MalformedRow("a row of fulltext_documents")
    return found


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides whether threads match, by their texts."""

    matcher: Matcher
    most_hits: int
    """How many messages of each thread are given."""
    counts: bool
    """Whether all matches are counted."""

    def match(self, key: Key, header: Sequence[str], messages: Iterable[Message]) -> Match | None:
        """What a thread holds; None if a term is missing."""
        matcher, missing = self.matcher, set(range(len(self.matcher.terms)))
        named: list[str] = []
        for part in header:
            if part and (seen := matcher.found_in(casefold(part))):
                missing -= seen
                named.append(part)
        kept: list[Message] = []
        matches = len(named)
        for message in messages:
            seen = matcher.found_in(casefold(message.text))
            if not seen:
                continue
            matches += 1
            if len(kept) < self.most_hits or seen & missing:
                kept.append(message)
            missing -= seen
            if not missing and self.most_hits == 1 and not self.counts:
                break
        return None if missing else Match(key, named, kept, matches)


@dataclass
class HitReader:
    """Looks into threads: first into the index, then, when that is closed, into the files."""

    _home: Path
    _terms: Sequence[Term]
    _most_hits: int
    _find: Find
    _pending: set[int]
    """Rows that are not indexed yet."""
    _counts: bool
    """Whether all matches are counted."""
    unreadable: set[str] = field(default_factory=set)
    """Files that are there and could not be read."""

    def __post_init__(self) -> None:
        self._matcher = Matcher(self._terms)
        self._match = Judge(self._matcher, self._most_hits, self._counts).match

    def candidate_steps(self, keys: Sequence[Key]) -> Steps[list[Candidate]]:
        """These threads with what the index holds of them."""
        row_ids = [row_id for _, _, row_id in keys if row_id not in self._pending]
        indexed = yield from self._indexed_steps(row_ids)
        rows = yield from rows_steps([id_ for _, id_, row_id in keys if row_id not in indexed])
        for known in indexed.values():
            if len(known.documents) > _MANY_DOCUMENTS:
                known.documents = yield from self._matching_steps(known.documents)
            known.locations = _locations(known)
        return [Candidate(key, indexed.get(key[2]), rows.get(key[1])) for key in keys]

    def read(self, candidates: Sequence[Candidate], most: int) -> list[Match]:
        """The matches among threads, at most so many, in their order. Raises OutOfResources if the
        system lacks memory, file descriptors or the like."""
        found: list[Match] = []
        for key, indexed, row in candidates:
            if len(found) == most:
                break
            match = None
            if indexed is not None:
                may_hold = self._matcher.may_be_in
                messages = read_messages(self._home, indexed.files, indexed.locations, may_hold)
                messages = self._readable(indexed.files[-1], messages)
                match = self._match(key, indexed.header, messages)
            elif row is not None:
                match = self._read_whole(key, row)
            if match is not None:
                found.append(match)
        return found

    def _indexed_steps(self, row_ids: Sequence[int]) -> Steps[dict[int, _Indexed]]:
        rows, among = listed(row_ids), f"row_id {AMONG}"
        threads = yield (
            f"SELECT row_id, files, header FROM fulltext_threads WHERE {among}",
            [rows],
        )
        documents = yield (
            "SELECT row_id, document_id, locations, item_ids FROM fulltext_documents"
            f" WHERE {among} ORDER BY document_id",
            [rows],
        )
        try:
            found = {
                row_id: _Indexed(tuple(orjson.loads(files)), header.split("\0") if header else [])
                for row_id, files, header in threads
            }
        except (ValueError, TypeError, AttributeError):
            raise MalformedRow("a row of fulltext_threads") from None
        for row_id, *document in documents:
            if row_id in found:
                found[row_id].documents.append(tuple(document))
        return found

    def _matching_steps(self, documents: list[_DocumentRow]) -> Steps[list[_DocumentRow]]:
        """The documents of one thread that may hold some of the terms."""
        matching: set[int] = set()
        for term in self._terms:
            match = match_of(term)
            if not match:
                return documents
            rows = yield (
                "SELECT rowid FROM fulltext_trigrams WHERE fulltext_trigrams MATCH ?"
                " AND rowid BETWEEN ? AND ?",
                [match, documents[0][0], documents[-1][0]],
            )
            matching.update(document_id for (document_id,) in rows)
        return [document for document in documents if document[0] in matching]

    def _read_whole(self, key: Key, row: Row) -> Match | None:
        """What a thread that is not indexed yet has in its file."""
        preview = row["preview"] or row["fallback_preview"]
        header = header_of(row["name"], row["title"], preview).split("\0")
        path = row["rollout_path"]
        try:
            read = read_thread_messages(self._home, path, self._find)
        except (RolloutError, OSError) as error:
            note_unread(path, error, self.unreadable)
            return self._match(key, header, ())
        # A title that is in a message is that message, as in the index.
        header = [part for part in header if not any(part in each.text for each in read.messages)]
        return self._match(key, header, read.messages)

    def _readable(self, path: str, messages: Iterable[Message]) -> Iterator[Message]:
        """Messages as far as they can be read: what was read before counts all the same."""
        try:
            yield from messages
        except (RolloutError, OSError) as error:
            note_unread(path, error, self.unreadable)


def note_unread(path: str, error: RolloutError | OSError, unreadable: set[str]) -> None:
    """Remember a file that could not be searched; one that has gone is noticed elsewhere. Raises
    OutOfResources if the system lacks memory, file descriptors or the like."""
    if isinstance(error, OSError) and error.errno in SHORTAGES:
        raise OutOfResources(os.strerror(error.errno)) from error
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        unreadable.add(path)
    import logging  # most searches have nothing to log

    logging.getLogger("threadkeep.fulltext").info("%s was not searched: %s", path, error)
