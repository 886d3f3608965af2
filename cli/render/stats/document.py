"""Statistics as JSON: see docs/json.md."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.render.stats.table import shown
from cli.terminal.text import iso
from state.reports.calendar import TIMES

if TYPE_CHECKING:
    from state.reports.groups import Group, Tally
    from state.reports.stats import Asked, Statistics

_HOUR_MS = 3_600_000


def document(
    found: "Statistics", asked: "Asked", zone: str, limit: int, names: Mapping[str, str]
) -> dict[str, Any]:
    """The document, but for what is not in the statistics."""
    left_out = found.left_out
    return {
        "timezone": zone,
        "since": _time(asked.span.since),
        "until": _time(asked.span.until),
        **tally_json(found.total),
        **_before(found.before, asked),
        "by": list(asked.by),
        "sort": None if {*asked.by} <= {*TIMES} else found.sort,
        "groups": _groups(found.groups, asked.by, limit, names),
        "count": found.count,
        "unpriced": [
            {"model": each.model, "provider": each.provider, "totalTokens": each.total}
            for each in found.unpriced
        ],
        "subscriptionThreads": found.subscribed,
        "leftOut": {"threads": left_out.threads, "totalTokens": left_out.total},
    }


def tally_json(tally: "Tally") -> dict[str, Any]:
    """What was used."""
    return {
        "threads": tally.threads,
        "turns": tally.turns,
        "responses": tally.responses,
        "inputTokens": tally.input,
        "cachedInputTokens": tally.cached_input,
        "cacheWriteTokens": tally.cache_write,
        "outputTokens": tally.output,
        "reasoningTokens": tally.reasoning,
        "totalTokens": tally.total,
        "costUsd": tally.spent,
        "unpricedTokens": tally.unpriced,
    }


def _time(hour: int | None) -> str | None:
    return None if hour is None else iso(hour * _HOUR_MS)


def _before(tally: "Tally | None", asked: "Asked | None" = None) -> dict[str, Any]:
    if tally is None:
        return {}
    span = asked and asked.before and asked.before[0]
    limits = {"since": _time(span.since), "until": _time(span.until)} if span else {}
    return {"before": {**limits, **tally_json(tally)}}


def _groups(
    groups: "Sequence[Group]", by: Sequence[str], limit: int, names: Mapping[str, str]
) -> list[dict[str, Any]]:
    return [
        {
            "key": group.key,
            **({"name": names.get(group.key, "")} if by[0] == "thread" else {}),
            **tally_json(group.tally),
            **_before(group.before),
            **_inner(group, by[1:], limit, names),
        }
        for group in shown(groups, by, limit)
    ]


def _inner(
    group: "Group", by: Sequence[str], limit: int, names: Mapping[str, str]
) -> dict[str, Any]:
    if not by:
        return {}
    return {"groups": _groups(group.groups, by, limit, names), "count": len(group.groups)}
