"""Which threads of a fleet may match a search, in the order of a list.

The list is walked in its order, and the texts of its threads are looked into: where many threads
match, a page is found after a few. If the first ones tell that few do, the index on trigrams gives
those that may match at all, which are put in order. So a term costs the less the more or the fewer
threads have it; terms that are in the middle are walked to.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from rollout.search.terms import Term
from state.db.steps import Steps
from state.fleet.reading.fulltext.headers import headers_steps, with_headers_steps
from state.fleet.reading.fulltext.lookup import Place, matches_steps, text_rows_steps
from state.fleet.reading.lists.pages import key_steps
from state.fleet.server.documents import spelled
from state.query.cursor import Cursor
from state.query.listing import Key
from state.query.model import Query

_FIRST: Final = 128
"""So many threads of the list are looked into before the index is asked."""
_FAR: Final = 3_000
"""If a page is expected within so many threads, they are walked to."""
_AT_ONCE: Final = 500
_MOST_WALKED: Final = 30_000
"""So many threads are looked into for one page, at most: a second of processor."""
_COMMON: Final = 0.1
"""To look up a term that so many threads have leaves hardly any out."""


class Fitting(NamedTuple):
    """A thread that holds all terms, as far as trigrams and normalized texts tell."""

    key: Key
    documents: list[Place]
    """Those that hold some."""
    header: Sequence[str] = ()
    """Its name, title and preview, if there are no documents."""


class Walk:
    """Finds the threads of a list that hold all terms, in its order."""

    def __init__(self, among: Query, place: Cursor | None, terms: Sequence[Term]) -> None:
        """The threads of ``among`` behind ``place``, whatever its own cursor is."""
        self.place = place
        """Behind the last thread that was looked into."""
        self.stopped = False
        """Whether there are more threads than are looked into."""
        self._query = among
        self._terms = terms
        self._patterns = [spelled(term.normalized) for term in terms]
        self._all = (1 << len(terms)) - 1
        self._held = [0] * len(terms)
        """How many of the threads that were looked into hold each term ..."""
        self._fitting = self._walked = 0
        """... all of them, and how many these were."""
        self._size = _FIRST
        self._rows: list[int] | None = None
        """Of all threads that may match, once they are known to be few."""
        self._asked = self._done = False

    def more(self, wanted: int) -> Steps[list[Fitting] | None]:
        """The next of them, of which so many are wanted; None at the end."""
        if self._done or self.stopped:
            return None
        keys = yield from key_steps(self._query, self.place, self._size, self._rows)
        self._done = len(keys) < self._size
        if not keys:
            return None
        found: list[Fitting] = []
        for start in range(0, len(keys), _AT_ONCE):
            if start and len(found) >= wanted:
                keys, self._done = keys[:start], False
                break
            found += yield from self._look_into(keys[start : start + _AT_ONCE])
        query = self._query
        self.place = Cursor(query.sort_key, query.descending, "", *keys[-1][:2])
        if not self._done and len(found) < wanted:
            yield from self._go_on(wanted - len(found))
        return found

    def _look_into(self, keys: Sequence[Key]) -> Steps[list[Fitting]]:
        held: dict[int, int] = {}
        documents: dict[int, list[Place]] = {}
        matches = yield from matches_steps([key[2] for key in keys], self._patterns)
        for place, terms in matches:
            held[place.row_id] = held.get(place.row_id, 0) | terms
            documents.setdefault(place.row_id, []).append(place)
        for number in range(len(self._patterns)):
            self._held[number] += sum(terms >> number & 1 for terms in held.values())
        unsaid = [key[2] for key in keys if key[2] not in held]
        headers = yield from headers_steps(unsaid, self._terms)
        found = [
            Fitting(key, sorted(documents.get(key[2], ())), headers.get(key[2], ()))
            for key in keys
            if key[2] in headers or held.get(key[2], 0) & self._all == self._all
        ]
        self._walked += len(keys)
        self._fitting += len(found)
        return found

    def _go_on(self, left: int) -> Steps[None]:
        """Choose how to find the next ``left`` threads."""
        expected = left * self._walked // self._fitting if self._fitting else _FAR + 1
        if self._rows is not None:  # the first of them, in order, did not suffice
            self._size = min(max(4 * self._size, expected), len(self._rows))
            return
        if expected > _FAR and not self._asked:
            self._asked = True
            rare = [
                number for number, count in enumerate(self._held) if count <= _COMMON * self._walked
            ]
            # Of those that were seen as often, the longest is probably the rarest.
            rare.sort(key=lambda each: (self._held[each], -len(self._patterns[each])))
            if rare:
                self._rows = yield from text_rows_steps([self._patterns[each] for each in rare])
            if self._rows is not None:
                self._rows = yield from with_headers_steps(self._rows, self._terms)
        self._size = min(max(2 * self._size, expected), _AT_ONCE)
        self.stopped = self._rows is None and self._walked >= _MOST_WALKED
