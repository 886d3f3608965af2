"""Homes of any size for benchmarks, from the bundled real rollouts.

    python -m tests.bench.homes HOME --threads 20000 [--median-kb 60] [--big-mb 1024]

Each thread is a real rollout with a fresh id and time, its own prompt, folder and source, and
filled up with tool calls, outputs and token counts to a log-normal size. The same arguments give
the same home.
"""

import argparse
import json
import os
import random
import uuid
from pathlib import Path
from typing import Any

from tests.conftest import CORPUS

_WORDS = [
    "parser",
    "index",
    "rollout",
    "thread",
    "cursor",
    "lease",
    "fence",
    "cache",
    "retry",
    "buffer",
    "window",
    "archive",
]
_START_MS = 1_760_000_000_000  # 2025-10-09
_SPAN_MS = 400 * 86_400_000

Lines = list[dict[str, Any]]


def templates() -> list[tuple[str, Lines]]:
    """(thread id, lines) of plain, smallish, whole rollouts."""
    found = []
    for path in sorted((CORPUS / "home" / "sessions").rglob("rollout-*.jsonl")):
        lines = [json.loads(raw) for raw in path.read_bytes().splitlines() if raw.strip()]
        meta = lines[0]
        if meta.get("type") != "session_meta" or "history_base" in meta["payload"]:
            continue
        if 2_000 < path.stat().st_size < 120_000 and meta["payload"]["id"] in path.name:
            found.append((meta["payload"]["id"], lines))
    return found


def make_home(home: Path, threads: int, *, median_kb: float = 60, big_mb: int = 0) -> Path:
    """Write a home of ``threads`` threads, one in twenty archived; the newest has ``big_mb``."""
    chance = random.Random(7)
    sources = templates()
    for number in range(threads):
        size = int(min(max(chance.lognormvariate(0, 1) * median_kb * 1024, 4_000), 40 * 2**20))
        if big_mb and number == threads - 1:
            size = big_mb * 2**20
        _write(home, *chance.choice(sources), number, threads, size, chance)
    return home


def _write(
    home: Path,
    old_id: str,
    lines: Lines,
    number: int,
    threads: int,
    size: int,
    chance: random.Random,
) -> None:
    moment = _START_MS + number * _SPAN_MS // threads
    own_id = str(uuid.UUID(int=moment << 80 | 0x7 << 76 | 0b10 << 62 | number))
    lines = json.loads(json.dumps(lines).replace(old_id, own_id))
    stamp = _iso(moment)
    meta = lines[0]["payload"]
    meta |= {"timestamp": stamp, "cwd": f"/home/dev/projects/{number % 40}"}
    meta["source"] = ("cli", "vscode", "exec", "cli", "vscode")[number % 5]
    for line in lines:
        line["timestamp"] = stamp
    archived = number % 20 == 19
    day = stamp[:10].replace("-", "/")
    folder = home / ("archived_sessions" if archived else f"sessions/{day}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"rollout-{stamp[:19].replace(':', '-')}-{own_id}.jsonl"
    ordinal = max((line.get("ordinal") or 0 for line in lines), default=0)
    responses = 1
    with path.open("w") as file:
        for line in lines:
            file.write(_json(line))
        while file.tell() < size:
            ordinal += 1
            line = _filler(chance, stamp, ordinal, responses)
            responses += line["type"] == "event_msg"
            file.write(_json(line))
    touched = (moment + chance.randrange(3 * 86_400_000)) * 1_000_000
    os.utime(path, ns=(touched, touched))


def _filler(chance: random.Random, stamp: str, ordinal: int, responses: int) -> dict[str, Any]:
    line: dict[str, Any] = {"timestamp": stamp, "ordinal": ordinal, "type": "response_item"}
    words = " ".join(chance.choices(_WORDS, k=chance.randint(10, 60)))
    kind = chance.random()
    if kind < 0.5:
        output = words * chance.randint(1, 16)
        line["payload"] = {"type": "function_call_output", "call_id": "c", "output": output}
    elif kind < 0.8:
        line["payload"] = {"type": "function_call", "name": "exec", "arguments": words}
    else:
        last = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
        total = {name: count * responses for name, count in last.items()}
        info = {"total_token_usage": total, "last_token_usage": last}
        line |= {"type": "event_msg", "payload": {"type": "token_count", "info": info}}
    return line


def _json(line: dict[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"


def _iso(moment_ms: int) -> str:
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment_ms % 1000:03d}Z"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--threads", type=int, default=1000)
    parser.add_argument("--median-kb", type=float, default=60)
    parser.add_argument("--big-mb", type=int, default=0)
    args = parser.parse_args()
    make_home(args.home, args.threads, median_kb=args.median_kb, big_mb=args.big_mb)


if __name__ == "__main__":
    main()
