"""A piece of a text around a match, on one line."""

from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

from rollout.search.normalize import casefold, without_escapes
from rollout.search.terms import Matcher

BEFORE: Final = 49
AFTER: Final = 96
"""Characters around the first match; as many as Codex 0.169 shows."""
_MOST_SPANS: Final = 2_000
"""So many matches of a message are compared."""


class Snippet(NamedTuple):
    """A piece of a text."""

    text: str
    spans: list[tuple[int, int]]
    """Where matches are in it, in characters."""


def snippet(text: str, matcher: Matcher) -> Snippet:
    """The piece of ``text`` around the first match, blanks as one space, dots where it was cut."""
    flat = " ".join(without_escapes(text).split())
    spans = matcher.spans(flat)
    first = next(spans, (0, 0))
    return excerpt(flat, first, [first, *spans])


def best_snippet(
    text: str, matcher: Matcher, weights: Sequence[int], before: int, after: int
) -> Snippet:
    """As :func:`snippet`, of the piece with the terms that count most, with so many characters
    before and after its first match."""
    flat = " ".join(without_escapes(text).split())
    spans = list(islice(matcher.spans(flat), _MOST_SPANS))
    return excerpt(flat, _best(flat, spans, matcher, weights, after), spans, before, after)


def best_span(text: str, matcher: Matcher, weights: Sequence[int], after: int) -> tuple[int, int]:
    """Where in ``text`` the piece of :func:`best_snippet` has its first match."""
    spans = list(islice(matcher.spans(text), _MOST_SPANS))
    return _best(text, spans, matcher, weights, after)


def _best(
    text: str,
    spans: list[tuple[int, int]],
    matcher: Matcher,
    weights: Sequence[int],
    after: int,
) -> tuple[int, int]:
    held = [matcher.found_in(casefold(text[start:end])) for start, end in spans]
    best, first = -1, (0, 0)
    for at, span in enumerate(spans):
        terms: set[int] = set()
        for number in range(at, len(spans)):
            if spans[number][1] > span[1] + after:
                break
            terms |= held[number]
        if (counted := sum(weights[term] for term in terms)) > best:
            best, first = counted, span
    return first


def excerpt(
    flat: str,
    first: tuple[int, int],
    spans: list[tuple[int, int]],
    before: int = BEFORE,
    after: int = AFTER,
) -> Snippet:
    """The piece of a text without line breaks around ``first``, with those of ``spans`` that are
    in it."""
    start, end = max(first[0] - before, 0), min(first[1] + after, len(flat))
    while start < first[0] and flat[start] == " ":
        start += 1
    while end > first[1] and flat[end - 1] == " ":
        end -= 1
    front = "... " if start else ""
    back = " ..." if end < len(flat) else ""
    shift = len(front) - start
    inside = [(a + shift, b + shift) for a, b in spans if start <= a < b <= end]
    return Snippet(f"{front}{flat[start:end]}{back}", inside)
