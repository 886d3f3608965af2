"""Where threadkeep's tokens differ from those of ``ccusage codex``, by day and model, and why.

    python -m tests.usage.compare HOME [--timezone ZONE] [--ccusage PATH]

ccusage (npm) runs offline; ``THREADKEEP_CCUSAGE`` names it, too. The status is 1 if a difference
has no known reason.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from itertools import chain, combinations
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from rollout.files.layout import parse_name
from rollout.usage.copies import usage_of_copies
from rollout.usage.model import UsageKey, UsageSums
from tests.usage.plain import Line, lines_of, own_from, told, used


class FileDifference(NamedTuple):
    """A rollout, its copies included, of which ccusage counts another sum."""

    name: str
    days: tuple[str, ...]
    ours: int
    theirs: int
    reasons: tuple[str, ...]
    """Empty: not known."""


def ask(ccusage: str, report: str, home: Path, timezone: str) -> Any:
    """What a report of ccusage says."""
    command = [ccusage, "codex", report, "--offline", "--json", "--timezone", timezone]
    env = {**os.environ, "CODEX_HOME": str(home)}
    found = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


def rollouts(home: Path) -> dict[str, list[Path]]:
    """The files of each rollout."""
    found = defaultdict(list)
    for path in sorted(home.rglob("rollout-*.jsonl*")):
        name = parse_name(str(path.relative_to(home))) if path.is_file() else None
        if name is not None:
            found[name.rollout_id or path.name].append(path)
    return dict(found)


def rows_of(home: Path, paths: list[Path]) -> dict[UsageKey, UsageSums]:
    return usage_of_copies(home, [str(path.relative_to(home)) for path in paths]).rows


def day_of(hour: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(hour * 3600, UTC).astimezone(zone).strftime("%Y-%m-%d")


def compared_days(
    home: Path, timezone: str, daily: Any
) -> Iterator[tuple[tuple[str, str], int, int]]:
    """Each day and model of which the sums differ: ours and theirs."""
    ours, theirs = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for paths in rollouts(home).values():
        for key, sums in rows_of(home, paths).items():
            ours[day_of(key.hour, ZoneInfo(timezone)), key.model] += sums.total
    for day in daily["daily"]:
        for model, sums in day["models"].items():
            theirs[day["date"], model] += sums["totalTokens"]
    for place in sorted({*ours, *theirs}):
        if ours[place] != theirs[place]:
            yield place, ours[place], theirs[place]


def compared_files(home: Path, timezone: str, sessions: Any) -> Iterator[FileDifference]:
    """Each rollout of which the sums differ."""
    theirs = Counter[str]()
    for session in sessions["sessions"]:
        theirs[f"{session['sessionFile']}.jsonl"] += session["totalTokens"]
    for paths in rollouts(home).values():
        rows = rows_of(home, paths)
        ours = sum(sums.total for sums in rows.values())
        names = {path.name.removesuffix(".zst") for path in paths}
        other = sum(theirs[name] for name in names)
        if ours != other:
            days = sorted({day_of(key.hour, ZoneInfo(timezone)) for key in rows})
            reasons = tuple(explained(ours - other, paths))
            yield FileDifference(min(names), tuple(days), ours, other, reasons)


def explained(difference: int, paths: list[Path]) -> Iterable[str]:
    """The reasons that make up a difference; none if they do not."""
    known = [reason for path in paths for reason in reasons_of(path)]
    every = chain.from_iterable(combinations(known, n) for n in range(1, len(known) + 1))
    for some in every:
        if sum(count for count, _ in some) == difference:
            return [f"{count:+,}: {why}" for count, why in some]
    return []


def reasons_of(path: Path) -> Iterator[tuple[int, str]]:
    """What ccusage 20.0.24 was seen to count otherwise, and by how much."""
    lines = lines_of(path)
    start = own_from(lines)
    if path.suffix == ".zst":
        yield used(lines), "the file is compressed, which ccusage does not read"
        return
    if start and isinstance(lines[0].get("source"), dict):
        yield used(lines), "ccusage takes counts that follow each other at once for copies"
    recorded = [line["usage"]["total_tokens"] for line in lines if is_record(line)]
    counts = [told(line) for line in lines[start:] if line["kind"] == "token_count"]
    alone = Counter(recorded) - Counter(last for _, last, _ in counts)
    if alone:
        yield sum(alone.elements()), "only a token_usage_record tells the request of a compaction"
    if review := sum(reviewed(lines)):
        yield -review, "a review's counts are in its own file, and here they are repeated"
    grown = used(lines) - sum(recorded) - sum(newly_told(counts, recorded))
    if grown > 0:
        yield grown, "the counter grew by more than the response: the line of one is missing"


def is_record(line: Line) -> bool:
    return bool(line["kind"] == "token_usage_record")


def newly_told(counts: list[tuple[int, int, bool]], recorded: list[int]) -> Iterator[int]:
    """The responses that ``token_count`` lines tell at once, and no record does."""
    seen, left = set(), [*recorded]
    for total, last, real in counts:
        if real and total not in seen:
            if last in left:
                left.remove(last)
            else:
                yield last
        seen.add(total)


def reviewed(lines: list[Line]) -> Iterator[int]:
    """What a file repeats of a review: its counts, and those with which its own counter goes on."""
    inside, after, before = False, False, 0
    for line in lines:
        if line["kind"] in ("entered_review_mode", "turn_context"):
            inside = line["kind"] == "entered_review_mode"
        total, last, _ = told(line) if line["kind"] == "token_count" else (0, 0, False)
        if total and inside:
            after = True
            yield last
        elif total:
            if after and total == before:
                yield last
            after, before = False, total


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--timezone", default="UTC")
    parser.add_argument("--ccusage", default=os.environ.get("THREADKEEP_CCUSAGE", "ccusage"))
    args = parser.parse_args()
    daily = ask(args.ccusage, "daily", args.home, args.timezone)
    sessions = ask(args.ccusage, "session", args.home, args.timezone)
    print(f"{'day':<12}{'model':<20}{'threadkeep':>14}{'ccusage':>14}{'difference':>14}")
    for (day, model), ours, theirs in compared_days(args.home, args.timezone, daily):
        print(f"{day:<12}{model:<20}{ours:>14,}{theirs:>14,}{ours - theirs:>+14,}")
    unknown = 0
    for one in compared_files(args.home, args.timezone, sessions):
        print(f"\n{one.name} ({', '.join(one.days)}): {one.ours:,}, ccusage {one.theirs:,}")
        for reason in one.reasons or ("the reason is not known",):
            print(f"  {reason}")
        unknown += not one.reasons
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
