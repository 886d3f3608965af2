"""What threads hold of what is looked for, by reading the messages that may."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from rollout.errors import SHORTAGES, RolloutError
from rollout.history.segments import Find
from rollout.search.documents import head_of, places_of
from rollout.search.extract import read_spoken
from rollout.search.messages import Message, read_messages
from rollout.search.normalize import fold
from rollout.search.terms import Matcher, Term
from state.db.steps import MalformedRow, Steps
from state.errors import OutOfResources
from state.fulltext.candidates import match_of
from state.query.rows import Row, rows_steps

_MANY_DOCS: Final = 4


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


@dataclass(slots=True)
class _Said:
    """What the index knows of a thread."""

    files: tuple[str, ...]
    head: list[str]
    docs: list[tuple[int, bytes]] = field(default_factory=list)


class HitReader:
    """Looks into threads."""

    def __init__(
        self,
        home: Path,
        terms: Sequence[Term],
        most_hits: int,
        find: Find,
        pending: set[int],
        *,
        count: bool,
    ) -> None:
        """``pending`` are rows that are not indexed yet; ``count``: all matches are counted."""
        self._home = home
        self._terms = terms
        self._most_hits = most_hits
        self._count = count
        self._matcher = Matcher(terms)
        self._find = find
        self._pending = pending
        self.unreadable: set[str] = set()
        """Files that are there and could not be read."""

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
        threads = yield (
            f"SELECT row_id, files, header FROM fulltext_threads WHERE {among}",
            [listed],
        )
        docs = yield (
            f"SELECT row_id, document_id, locations FROM fulltext_documents WHERE {among}"
            " ORDER BY document_id",
            [listed],
        )
        try:
            said = {
                row_id: _Said(tuple(orjson.loads(files)), head.split("\0") if head else [])
                for row_id, files, head in threads
            }
        except (ValueError, TypeError, AttributeError):
            raise MalformedRow("a row of fulltext_threads") from None
        for row_id, document_id, places in docs:
            if row_id in said:
                said[row_id].docs.append((document_id, places))
        return said

    def _holding(self, docs: Sequence[tuple[int, bytes]]) -> Steps[list[tuple[int, bytes]]]:
        """The documents of one thread that may hold some of the terms."""
        holding: set[int] = set()
        for term in self._terms:
            match = match_of(term)
            if not match:
                return list(docs)
            rows = yield (
                "SELECT rowid FROM fulltext_trigrams WHERE fulltext_trigrams MATCH ?"
                " AND rowid BETWEEN ? AND ?",
                [match, docs[0][0], docs[-1][0]],
            )
            holding.update(document_id for (document_id,) in rows)
        return [doc for doc in docs if doc[0] in holding]

    def _messages(self, said: _Said) -> Iterator[Message]:
        try:
            places = [place for _, data in said.docs for place in places_of(data)]
        except (ValueError, TypeError):
            raise MalformedRow("a row of fulltext_documents") from None
        if any(file >= len(said.files) for file, _ in places):
            raise MalformedRow("a row of fulltext_documents")
        return read_messages(self._home, said.files, places)

    def _scanned(self, row: Row) -> Hit | None:
        """What a thread that is not indexed yet has in its file."""
        preview = row["preview"] or row["fallback_preview"]
        head = head_of(row["name"], row["title"], preview).split("\0")
        try:
            spoken = read_spoken(self._home, row["rollout_path"], self._find)
        except (RolloutError, OSError) as error:
            self._note(row, error)
            return self._hit(row, head, (), ())
        # A title that is in a message is that message, as in the index.
        head = [part for part in head if not any(part in each.text for each in spoken.messages)]
        return self._hit(row, head, spoken.files, spoken.messages)

    def _hit(
        self, row: Row, head: Sequence[str], files: tuple[str, ...], messages: Iterable[Message]
    ) -> Hit | None:
        matcher, missing = self._matcher, set(range(len(self._terms)))
        most = self._most_hits
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
                if not missing and most == 1 and not self._count:
                    break
        except (RolloutError, OSError) as error:  # what it has said there counts no more
            self._note(row, error)
        if missing:
            return None
        return Hit(row, called, kept, matches, files)

    def _note(self, row: Row, error: RolloutError | OSError) -> None:
        if isinstance(error, OSError) and error.errno in SHORTAGES:
            raise OutOfResources(os.strerror(error.errno)) from error
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            self.unreadable.add(row["rollout_path"])
