"""A second count of the tokens that a home used, plain on purpose: no code of threadkeep, one file
after another, in memory. ``docs/usage.md`` has the rules.

    python -m tests.usage.plain HOME
"""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import zstandard

PAUSE = 0.02  # seconds: lines that were copied follow each other faster
Line = dict[str, Any]


def lines_of(path: Path) -> list[Line]:
    """The payload of each line, with its kind and time."""
    data = path.read_bytes()
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data).read()
    found = []
    for raw in data.splitlines():
        try:
            line = json.loads(raw)
            payload = line["payload"]
            kind = payload["type"] if line["type"] == "event_msg" else line["type"]
            found.append({**payload, "kind": kind, "at": line["timestamp"]})
        except (ValueError, TypeError, KeyError):
            continue
    return found


def time_of(line: Line) -> float:
    return datetime.fromisoformat(line["at"].upper()).timestamp()


def own_from(lines: list[Line]) -> int:
    """How many lines were copied from another thread."""
    metas = [line for line in lines if line["kind"] == "session_meta"]
    ids = {meta.get("id") for meta in metas}
    forked = metas and metas[0].get("forked_from_id") and not metas[0].get("history_base")
    if not forked and len(ids) < 2:
        return 0
    starts = [n for n, line in enumerate(lines) if line["kind"] in ("task_started", "turn_context")]
    for n in starts:
        if (lines[n].get("turn_id") or "") > metas[0]["id"]:
            return n
    pauses = [n for n in starts if time_of(lines[n]) - time_of(metas[0]) > PAUSE]
    return pauses[0] if pauses else len(lines)


def told(line: Line) -> tuple[int, int, bool]:
    """The total of the counter, the last response, and whether that is one."""
    info = line.get("info") or {}
    total, last = info.get("total_token_usage", {}), info.get("last_token_usage", {})
    real = bool(last.get("input_tokens") or last.get("output_tokens"))
    return total.get("total_tokens", 0), last.get("total_tokens", 0), real


def used(lines: list[Line]) -> int:
    """What the file's own responses used."""
    start, based = own_from(lines), bool(lines and lines[0].get("history_base"))
    totals = {told(line)[0] for line in lines[:start] if line["kind"] == "token_count"} - {0}
    own, review = lines[start:], False
    recorded = [
        line["usage"]["total_tokens"] for line in own if line["kind"] == "token_usage_record"
    ]
    sum_: int = sum(recorded)
    ends = [line for line in own if line["kind"] in ("task_complete", "turn_aborted")]
    failed = bool(ends) and (ends[0]["kind"] == "turn_aborted" or bool(ends[0].get("error")))
    for line in own:
        if line["kind"] in ("entered_review_mode", "exited_review_mode", "turn_context"):
            review = line["kind"] == "entered_review_mode"
        total, last, real = told(line) if line["kind"] == "token_count" else (0, 0, False)
        if review or not total or total in totals:
            continue
        inherited = based and not totals and failed
        below = max((one for one in totals if one <= total - last), default=total - last)
        totals.add(total)
        if real and not inherited:
            sum_ += total - last - below
            if last in recorded:
                recorded.remove(last)
            else:
                sum_ += last
    return sum_


def main() -> None:
    for home in sys.argv[1:]:
        files = [path for path in Path(home).rglob("rollout-*.jsonl*") if path.is_file()]
        print(f"{sum(used(lines_of(path)) for path in files):,} tokens: {home}")


if __name__ == "__main__":
    main()
