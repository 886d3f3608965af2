"""What the responses of one file used: counts by the hour, the model and the provider."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from rollout.jsonl.parse import compact_json

LONG_CONTEXTS: Final = (128_000, 200_000, 256_000, 272_000, 512_000)
"""A response with more input tokens than one of these may have another price per token."""


class UsageKey(NamedTuple):
    """What responses have in common that are summed in one row."""

    hour: int
    """Whole hours since 1970, in UTC."""
    model: str
    """As the turn had it; empty if the file does not tell."""
    provider: str
    """As the session had it; empty if the file does not tell."""
    effort: str
    """The reasoning effort of the turn; empty if it has none."""
    service_tier: str
    """The service tier of the turn, which may change the price; empty for the default one."""
    long_context: int
    """The greatest of ``LONG_CONTEXTS`` that the input tokens of the response exceed, or 0."""


class Tokens(NamedTuple):
    """The counts of one response, or of a counter."""

    input: int = 0
    """All of the input: what was cached, and what was written to the cache, too."""
    cached_input: int = 0
    cache_write: int = 0
    output: int = 0
    """All of the output: reasoning, too."""
    reasoning: int = 0
    total: int = 0


class UsageSums(NamedTuple):
    """The summed counts of some responses."""

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    total: int = 0
    responses: int = 0


class RateLimits(NamedTuple):
    """The newest rate limits that a file tells."""

    at_ms: int
    """When the newest of them was told, in milliseconds since 1970."""
    value: str
    """Compact JSON: limit id ("" for none) to the newest snapshot as Codex wrote it, and its
    ``at_ms``."""


class FileUsage(NamedTuple):
    """What one file tells of the tokens that were used."""

    rows: dict[UsageKey, UsageSums]
    state: str = ""
    """JSON that a later pass over the file continues from; of no use to others."""
    limits: RateLimits | None = None
    odd: int = 0
    """How many lines had counts that are no counts; those were taken as 0."""
    odd_at: int | None = None
    """Where the first of these lines begins."""


NO_USAGE: Final = FileUsage({})
"""Nothing was used."""


def long_context_of(input_tokens: int) -> int:
    """The greatest of ``LONG_CONTEXTS`` that ``input_tokens`` exceed, or 0."""
    if input_tokens <= LONG_CONTEXTS[0]:
        return 0
    return max(length for length in LONG_CONTEXTS if input_tokens > length)


def add_rows(usages: Iterable[dict[UsageKey, UsageSums]]) -> dict[UsageKey, UsageSums]:
    """The sums of several files: those of each key added up."""
    rows: dict[UsageKey, UsageSums] = {}
    for usage in usages:
        for key, sums in usage.items():
            before = rows.get(key)
            rows[key] = UsageSums(*map(sum, zip(before, sums, strict=True))) if before else sums
    return rows


def without(
    rows: dict[UsageKey, UsageSums], some: dict[UsageKey, UsageSums]
) -> dict[UsageKey, UsageSums]:
    """What is left of sums that have others in them."""
    less = {key: UsageSums(*(-count for count in sums)) for key, sums in some.items()}
    return {key: sums for key, sums in add_rows([rows, less]).items() if any(sums)}


def rate_limits(snapshots: Mapping[str, dict[str, Any]]) -> RateLimits | None:
    """The snapshots of limits by their ids, each with its ``at_ms``; None if there are none."""
    if not snapshots:
        return None
    newest = max(snapshot["at_ms"] for snapshot in snapshots.values())
    return RateLimits(newest, compact_json(snapshots) or "{}")


def newest_limits(limits: Iterable[RateLimits | None]) -> RateLimits | None:
    """The rate limits of several files: of each limit id the newest."""
    newest: dict[str, Any] = {}
    for told in limits:
        for limit_id, snapshot in json.loads(told.value).items() if told else ():
            if limit_id not in newest or newest[limit_id]["at_ms"] <= snapshot["at_ms"]:
                newest[limit_id] = snapshot
    return rate_limits(newest)


def encode_rows(rows: dict[UsageKey, UsageSums]) -> str:
    """Rows as compact JSON, the same for the same rows."""
    return compact_json([[*key, *sums] for key, sums in sorted(rows.items())]) or "[]"


def decode_rows(text: str) -> dict[UsageKey, UsageSums]:
    """What ``encode_rows`` gave. Raises ValueError or TypeError if ``text`` is no such value."""
    width = len(UsageKey._fields)
    return {UsageKey(*row[:width]): UsageSums(*row[width:]) for row in json.loads(text)}
