"""Search everything in rollouts: output of tools, context that only the model got, and turns that
were rolled back. This uses no index; every line is read."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rollout.errors import SHORTAGES, Damage
from rollout.jsonl.parse import BadLine, Line, parse_line
from rollout.jsonl.reader import LineReader, open_rollout
from rollout.search.normalize import casefold
from rollout.search.snippet import Snippet, snippet
from rollout.search.terms import Matcher, Term


class RawHit(NamedTuple):
    """A line that holds some of the terms."""

    kind: str
    """Its types, outer and inner: ``response_item/function_call_output``."""
    offset: int
    snippet: Snippet


class RawHits(NamedTuple):
    """A rollout that holds all terms."""

    hits: list[RawHit]
    """The first few."""
    matches: int
    """Lines that hold some."""


class RawResult(NamedTuple):
    """The result of a raw search in one rollout."""

    hits: RawHits | None
    """None if it lacks a term, or cannot be read."""
    damage: list[Damage]
    """Where the rollout breaks off, if it does; the rest was not searched."""
    unreadable: bool = False
    """Whether it is there, and cannot be read."""


def grep_rollouts(
    home: str, paths: Sequence[str], terms: Sequence[Term], most: int
) -> list[RawResult]:
    """Search some rollouts, in a process of its own."""
    matcher = Matcher(terms)
    return [_raw(Path(home) / path, matcher, most) for path in paths]


def _raw(path: Path, matcher: Matcher, most: int) -> RawResult:
    damage: list[Damage] = []
    missing = set(range(len(matcher.terms)))
    hits: list[RawHit] = []
    matches = 0
    unreadable = False
    try:
        with open_rollout(path, damage) as stream:
            for line in LineReader().lines(stream):
                item = parse_line(line) if isinstance(line, Line) else None
                if item is None or isinstance(item, BadLine):
                    continue
                seen: set[int] = set()
                first = ""
                for text in _texts(item):
                    found = matcher.found_in(casefold(text))
                    if found - seen and not first:
                        first = text
                    seen |= found
                if not seen:
                    continue
                matches += 1
                if len(hits) < most or seen & missing:
                    hits.append(RawHit(_kind(item), line.offset, snippet(first, matcher)))
                missing -= seen
    except OSError as error:  # what could be read counts
        if error.errno in SHORTAGES:
            raise
        unreadable = not isinstance(error, FileNotFoundError)
    return RawResult(None if missing else RawHits(hits, matches), damage, unreadable)


def _texts(item: dict[str, Any]) -> Iterator[str]:
    """All texts in a line, those of its payload alone: names of fields and types are ours."""
    left: list[Any] = [item.get("payload", item)]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            left += reversed([part for key, part in value.items() if key != "type"])
        elif isinstance(value, list):
            left += reversed(value)


def _kind(item: dict[str, Any]) -> str:
    outer, payload = item.get("type"), item.get("payload")
    inner = payload.get("type") if isinstance(payload, dict) else None
    return "/".join(part for part in (outer, inner) if isinstance(part, str))
