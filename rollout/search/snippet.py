"""A piece of a text around a match, on one line."""

from typing import Final, NamedTuple

from rollout.search.normalize import without_escapes
from rollout.search.terms import Matcher

BEFORE: Final = 49
AFTER: Final = 96
"""Characters around the first match; as many as Codex 0.169 shows."""


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


def excerpt(flat: str, first: tuple[int, int], spans: list[tuple[int, int]]) -> Snippet:
    """The piece of a text without line breaks around ``first``, with those of ``spans`` that are
    in it."""
    start, end = max(first[0] - BEFORE, 0), min(first[1] + AFTER, len(flat))
    while start < first[0] and flat[start] == " ":
        start += 1
    while end > first[1] and flat[end - 1] == " ":
        end -= 1
    front = "... " if start else ""
    back = " ..." if end < len(flat) else ""
    shift = len(front) - start
    inside = [(a + shift, b + shift) for a, b in spans if start <= a < b <= end]
    return Snippet(f"{front}{flat[start:end]}{back}", inside)
