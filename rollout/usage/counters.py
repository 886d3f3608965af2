"""The running totals of a file, and which responses they tell.

A ``token_count`` has the counts of the last response and the total of a counter. A session has one
counter, which begins at nothing or where an earlier one ended; one file may have lines of several.
They are told apart by what they are at: the rate limit that a line names does not tell, as Codex
repeats the counts of one session with each of its limits.
"""

from typing import Any, Final, NamedTuple

from rollout.usage.counts import grown_by, is_response, minus, same_use
from rollout.usage.model import Tokens

_MOST_COUNTERS: Final = 8
_WIDEST_CONTEXT: Final = 2**20
"""The tokens that one response may have used, if the line does not tell the model's context."""


class _Counter(NamedTuple):
    total: Tokens
    stale: bool
    """Whether a session began after it, whose counter may begin with the same counts."""
    limit: str
    """The rate limit that its latest line names."""
    first: Tokens | None
    """The response that it began with; None if it began before the file."""


class Counters:
    """The counters of one file, the latest first."""

    def __init__(self, state: list[Any] | None = None) -> None:
        self._counters = [
            _Counter(Tokens(*total), stale, limit, first and Tokens(*first))
            for total, stale, limit, first in state or ()
        ]

    def state(self) -> list[Any]:
        """What a later pass continues from."""
        return [
            [list(total), stale, limit, first and list(first)]
            for total, stale, limit, first in self._counters
        ]

    def __bool__(self) -> bool:
        return bool(self._counters)

    def begin(self) -> None:
        """A session has begun that has no counter yet."""
        if self._counters:
            self._counters = [counter._replace(stale=True) for counter in self._counters]

    def is_repeated(self, total: Tokens, last: Tokens | None) -> bool:
        """Whether a counter was at this ``total`` before."""
        for place, counter in enumerate(self._counters):
            if counter.total == total:
                if counter.stale and total == last:
                    del self._counters[place]  # it begins again, with the same counts
                    return False
                if place:
                    self._counters.insert(0, self._counters.pop(place))
                return True
        return False

    def missing(
        self,
        total: Tokens,
        last: Tokens | None,
        window: object = None,
        limit: str = "",
        *,
        new: bool = False,
    ) -> Tokens | None:
        """Set the counter that is now at ``total``, and give what was used between its last line
        and the response ``last``, if anything. ``limit``: the rate limit that the line names.
        ``new``: counters of this file began at nothing."""
        if last is not None:
            for place, counter in enumerate(self._counters):
                if grown_by(total, counter.total, last):
                    self._set(place, total, limit)
                    return None
            if same_use(total, last):
                self._set(None, total, limit, total)
                return None
            if (twin := self._twin(total, last, limit)) is not None:
                self._set(None, total, limit, twin)
                return twin
        grown, more = self._grown(total, last, window)
        if last is None and new and not self._counters:
            more = _plausible(total, window)
        self._set(grown, total, limit)
        return more

    def _twin(self, total: Tokens, last: Tokens, limit: str) -> Tokens | None:
        """The first response of a counter that began with the same counts as another one, so that
        its first line was taken for a repetition: the other one is ahead, and of another limit."""
        if not limit or any(counter.limit in ("", limit) for counter in self._counters):
            return None
        firsts = (counter.first for counter in self._counters)
        return next((one for one in firsts if one and grown_by(total, one, last)), None)

    def _grown(
        self, total: Tokens, last: Tokens | None, window: object
    ) -> tuple[int | None, Tokens | None]:
        """The counter that grew least to reach ``total``, and by how much beside ``last``. Else
        the latest one, which went back."""
        best: tuple[int, Tokens] | None = None
        for place, counter in enumerate(self._counters):
            grown = minus(total, counter.total)
            more = _plausible(minus(grown, last) if last else grown, window)
            if more is not None and (best is None or more.total < best[1].total):
                best = place, more
        if best is not None:
            return best
        return (0 if self._counters else None), None

    def _set(
        self, place: int | None, total: Tokens, limit: str, first: Tokens | None = None
    ) -> None:
        if place is not None:
            first = self._counters.pop(place).first
        self._counters.insert(0, _Counter(total, False, limit, first))
        del self._counters[_MOST_COUNTERS:]


def _plausible(more: Tokens, window: object) -> Tokens | None:
    """``more`` if one response can have used it."""
    widest = window if isinstance(window, int) and window > 0 else _WIDEST_CONTEXT
    if (
        is_response(more)
        and min(more) >= 0
        and more.total == more.input + more.output
        and more.cached_input + more.cache_write <= more.input
        and more.reasoning <= more.output
        and more.total <= widest
    ):
        return more
    return None
