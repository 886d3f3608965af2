"""Turns and searches of the real app-server and of ours on the same home, in turn, with ratios.

    THREADKEEP_CODEX_BIN=/path/to/codex python -m tests.bench.compare_history HOME [--rounds 20]

Asked are the largest thread of the home, one of median size, and three searches. Codex's cursors
and ours are asked for the second page each in their own words.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from rollout.files.layout import parse_name
from tests.bench.compare_servers import Server, both

SEARCHES = {"common": "reply", "rare": "#1234", "absent": "nobodysaidthat"}
PAGE: dict[str, Any] = {"limit": 25, "sortDirection": "desc", "itemsView": "full"}


def main() -> None:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    sizes = sorted(
        (path.stat().st_size, file.rollout_id)
        for path in arguments.home.rglob("rollout-*.jsonl")
        if (file := parse_name(path.name)) and file.rollout_id
    )
    with both(arguments.home) as (mine, codex):
        while mine.ask("threadkeep/status", {})[1]["search"]["toIndex"]:
            time.sleep(0.2)
        for name, (size, id_) in {"median": sizes[len(sizes) // 2], "largest": sizes[-1]}.items():
            the = {"threadId": id_}
            print(f"{name} thread, {size / 1e6:.2f} MB")
            _compare("read", mine, codex, "thread/read", {**the, "includeTurns": True}, 5)
            _compare("last page", mine, codex, "thread/turns/list", {**the, **PAGE}, 5)
            _later(mine, codex, {**the, **PAGE}, arguments.rounds)
        for name, term in SEARCHES.items():
            _compare(name, mine, codex, "thread/search", {"searchTerm": term}, arguments.rounds)


def _compare(
    name: str, mine: Server, codex: Server, method: str, params: dict[str, Any], rounds: int
) -> None:
    first = mine.ask(method, params)[0]
    pairs = [(mine.ask(method, params)[0], codex.ask(method, params)[0]) for _ in range(rounds)]
    _tell(name, pairs, f"; ours at first {first * 1000:.1f} ms")


def _later(mine: Server, codex: Server, params: dict[str, Any], rounds: int) -> None:
    cursors = [server.ask("thread/turns/list", params)[1]["nextCursor"] for server in (mine, codex)]
    if not all(cursors):
        return
    own, other = ({**params, "cursor": cursor} for cursor in cursors)
    pairs = [
        (mine.ask("thread/turns/list", own)[0], codex.ask("thread/turns/list", other)[0])
        for _ in range(rounds)
    ]
    _tell("later page", pairs)


def _tell(name: str, pairs: list[tuple[float, float]], more: str = "") -> None:
    own, other = (statistics.median(times) * 1000 for times in zip(*pairs, strict=True))
    print(f"{name:<12} {own:8.2f} ms, Codex {other:8.2f} ms ({other / own:.1f} times){more}")


if __name__ == "__main__":
    main()
