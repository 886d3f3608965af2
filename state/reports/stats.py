"""Count threads, turns and tokens, by day and other dimensions, of the threads of a list."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from rollout.history.count import TurnCount, turn_counts
from state.jobs.pool import read_files
from state.jobs.progress import Report
from state.query.model import Query
from state.query.rows import Row
from state.thread_index import ThreadIndex
from state.userdata.folders import cwd_key, shown_folders


@dataclass(slots=True)
class Tally:
    """Threads, their turns (None if not counted) and their tokens."""

    threads: int = 0
    turns: int | None = None
    tokens: int = 0

    def add(self, turns: int | None, tokens: int) -> None:
        """Add a thread."""
        self.threads += 1
        self.tokens += tokens
        if turns is not None:
            self.turns = (self.turns or 0) + turns


@dataclass(slots=True)
class Statistics:
    """Tallies, of which those of each dimension add up to the total."""

    total: Tally = field(default_factory=Tally)
    by: dict[str, dict[str, Tally]] = field(default_factory=dict)
    """By dimension and key: times in order, other keys with most tokens first."""
    problems: dict[str, str] = field(default_factory=dict)
    """Files whose turns could not be counted, and why."""


def _moment(layout: str) -> Callable[[Row], str]:
    return lambda row: time.strftime(layout, time.gmtime(row["created_at_ms"] // 1000))


_KEYS: Final[dict[str, Callable[[Row], str]]] = {
    "day": _moment("%Y-%m-%d"),
    "month": _moment("%Y-%m"),
    "project": lambda row: cwd_key(row["cwd"]),
    "model": lambda row: str(row["model"] or ""),
    "provider": lambda row: str(row["model_provider"]),
    "source": lambda row: str(row["source_kind"]),
}
DIMENSIONS: Final = tuple(_KEYS)
TIMES: Final = frozenset({"day", "month"})


async def statistics(
    index: ThreadIndex,
    query: Query,
    *,
    since_ms: int | None = None,
    until_ms: int | None = None,
    turns: bool = False,
    report: Report | None = None,
) -> Statistics:
    """Count the threads of ``query`` that were created from ``since_ms`` on, before ``until_ms``.
    ``turns`` has their rollouts read."""
    rows = await _rows(index, query, since_ms, until_ms)
    counts = await _turns(index, rows, report) if turns else None
    found = Statistics()
    tallies: dict[str, dict[str, Tally]] = {name: defaultdict(Tally) for name in DIMENSIONS}
    for number, row in enumerate(rows):
        counted = None
        if counts is not None:
            counted = counts[number].turns
            if counts[number].problem:
                found.problems[row["rollout_path"]] = counts[number].problem
        found.total.add(counted, row["tokens_used"])
        for name, key in _KEYS.items():
            tallies[name][key(row)].add(counted, row["tokens_used"])
    if turns and not rows:
        found.total.turns = 0
    tallies["project"] = shown_folders(tallies["project"], [row["cwd"] for row in rows])
    for name, group in tallies.items():
        if name in TIMES:
            found.by[name] = dict(sorted(group.items()))
        else:
            order = sorted(group.items(), key=lambda item: (-item[1].tokens, item[0]))
            found.by[name] = dict(order)
    return found


async def _rows(
    index: ThreadIndex, query: Query, since_ms: int | None, until_ms: int | None
) -> list[Row]:
    """The rows of all pages that are not too old, the newest first."""
    found: list[Row] = []
    newest_first = replace(query, sort_key="created_at", descending=True, cursor=None)
    async for row in index.all_rows(newest_first):
        if since_ms is not None and row["created_at_ms"] < since_ms:
            break
        if until_ms is None or row["created_at_ms"] < until_ms:
            found.append(row)
    return found


async def _turns(index: ThreadIndex, rows: Sequence[Row], report: Report | None) -> list[TurnCount]:
    files = [(row["rollout_path"], row["size_bytes"]) for row in rows]
    # Most lines are skipped, which takes a quarter of the time that parsing them does.
    counts = read_files(index.home, turn_counts, files, effort=1 / 4, report=report)
    return [count async for count in counts]
