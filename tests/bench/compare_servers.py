"""Lists, turns and searches of Codex's app-server and of ours, on one home, in turn, with ratios.

    THREADKEEP_CODEX_BIN=/path/to/codex python -m tests.bench.compare_servers HOME [--rounds 20]

Codex has a copy of the home, of hard links. Turns are those of the largest thread of the home and
of one of median size; Codex's cursors and ours are asked for the second page each in their own
words. Prints Markdown.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rollout.files.layout import parse_name
from tests.bench.app_server import Server
from tests.bench.measure import THREADKEEP, busy, machine, of_home, seconds, table
from tests.bench.peers import Codex

LISTS: Final[dict[str, dict[str, Any]]] = {
    "by creation": {},
    "by update": {"sortKey": "updated_at"},
    "one cwd": {"cwd": "/home/dev/projects/beta"},
    "a title": {"searchTerm": "lease fence"},
}
SEARCHES: Final = {"a common word": "reply", "a rare word": "#1234", "no word": "nobodysaidthat"}
PAGE: Final[dict[str, Any]] = {"limit": 25, "sortDirection": "desc", "itemsView": "full"}
QUICK: Final = {"useStateDbOnly": True}


@contextmanager
def both(home: Path) -> Iterator[tuple[Server, Server]]:
    """Our server, once its indexes are filled, and the real one."""
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        codex = Codex((os.environ["THREADKEEP_CODEX_BIN"],), Path(folder, "codex"), home)
        options = ["--home", str(home), "--db", f"{folder}/index.sqlite3"]
        mine = Server([*THREADKEEP, *options, "app-server"])
        real = Server([*codex.command, "app-server"], codex.env)
        for server in (mine, real):
            server.initialize()
        while not mine.ask("thread/list", {"limit": 1})[1]["complete"]:
            time.sleep(0.2)
        while mine.ask("threadkeep/status", {})[1]["search"]["toIndex"]:
            time.sleep(0.2)
        yield mine, real
        mine.end()
        real.end()


def rows(mine: Server, codex: Server, home: Path, rounds: int) -> Iterator[list[str]]:
    """What is asked, and how long both took."""
    for name, params in LISTS.items():
        everybody = {**params, "modelProviders": []}
        asked = "thread/list", everybody
        yield _row(f"list, {name}", mine, codex, asked, asked, rounds)
        quick = "thread/list", {**everybody, **QUICK}
        yield _row(f"list, {name}, its database only", mine, codex, asked, quick, rounds)
    sizes = sorted(
        (path.stat().st_size, file.rollout_id)
        for path in home.rglob("rollout-*.jsonl")
        if (file := parse_name(path.name)) and file.rollout_id
    )
    for name, (size, id_) in {"median": sizes[len(sizes) // 2], "largest": sizes[-1]}.items():
        of = f"{name} thread, {size / 1e6:.2f} MB"
        whole = "thread/read", {"threadId": id_, "includeTurns": True}
        yield _row(f"{of}, read", mine, codex, whole, whole, rounds)
        page: dict[str, Any] = {"threadId": id_, **PAGE}
        last = "thread/turns/list", page
        yield _row(f"{of}, last page", mine, codex, last, last, rounds)
        cursors = [server.ask(*last)[1]["nextCursor"] for server in (mine, codex)]
        if all(cursors):
            own, other = (("thread/turns/list", {**page, "cursor": cursor}) for cursor in cursors)
            yield _row(f"{of}, the page before", mine, codex, own, other, rounds)
    for name, term in SEARCHES.items():
        search = "thread/search", {"searchTerm": term}
        yield _row(f"search, {name}", mine, codex, search, search, rounds)


Request = tuple[str, dict[str, Any]]


def _row(
    name: str, mine: Server, codex: Server, own: Request, other: Request, rounds: int
) -> list[str]:
    first = mine.ask(*own)[0]
    pairs = [(mine.ask(*own)[0], codex.ask(*other)[0]) for _ in range(rounds)]
    ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    return [name, seconds(ours), seconds(first), seconds(theirs), f"{theirs / ours:.1f}"]


def main() -> None:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="busy loops beside it")
    args = parser.parse_args()
    home = args.home.absolute()
    with both(home) as (mine, codex), busy(args.busy):
        found = list(rows(mine, codex, home, args.rounds))
        print(f"{of_home(home)}, medians of {args.rounds}.\n{machine(args.busy)}\n")
    print(table(["asked", "threadkeep", "its first time", "Codex", "ratio"], found))


if __name__ == "__main__":
    main()
