"""The backfill of the real Codex and threadkeep's, on copies of one home, in turn, with ratios.

    python -m tests.bench.compare_codex HOME --codex PATH [--codex PATH] [--rounds 3] [--busy 2]

Codex: from the start of its app-server, with empty databases, to ``complete`` in ``backfill_state``
of its own database, with all CPU seconds of its processes up to then. threadkeep: the whole process
that fills an empty index with the metadata, which is what Codex's has (``list``), and the one that
fills it with everything (``backfill``). Without ``--codex`` it is THREADKEEP_CODEX_BIN. Prints
Markdown.
"""

import argparse
import os
import sqlite3
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from tests.bench.app_server import Server
from tests.bench.measure import (
    THREADKEEP,
    Cost,
    Failed,
    busy,
    compile_program,
    least_and_median,
    machine,
    of_home,
    run,
    table,
    times,
)
from tests.bench.peers import Codex

_LOOK_S: Final = 0.02
OURS: Final = {"list": "threadkeep, metadata", "backfill": "threadkeep, metadata, text and usage"}


def codex_backfill(codex: Codex) -> Cost:
    """Until its database says that it is complete."""
    codex.reset()
    server = Server([*codex.command, "app-server"], codex.env)
    server.initialize(wait=False)
    while not any(map(_complete, codex.home.glob("*.sqlite"))):
        time.sleep(_LOOK_S)
    return server.end()


def _complete(database: Path) -> bool:
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection,
    ):
        return ("complete",) in connection.execute("SELECT status FROM backfill_state")
    return False  # it has not begun, or is another database


def our_backfill(home: Path, command: str) -> Cost:
    """A whole process, with the index that it makes. Raises Failed if that is not complete."""
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        index = Path(folder, "index.sqlite3")
        cost = run([*THREADKEEP, "--home", str(home), "--db", str(index), command])
        if not _complete(index):
            raise Failed(f"threadkeep {command} leaves an index that is not complete")
    return cost


def main() -> None:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--codex", action="append", default=[], metavar="PATH")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="busy loops beside it")
    args = parser.parse_args()
    home = args.home.absolute()
    named = args.codex or [os.environ["THREADKEEP_CODEX_BIN"]]
    costs: dict[str, list[Cost]] = {}
    compile_program()
    with tempfile.TemporaryDirectory(dir=home.parent) as name, busy(args.busy):
        user = Path(name, "codex")
        codexes = [Codex((path,), user / str(at), home) for at, path in enumerate(named)]
        before = machine(args.busy)
        for _ in range(args.rounds):
            for codex in codexes:
                costs.setdefault(codex.version(), []).append(codex_backfill(codex))
            for command, of in OURS.items():
                costs.setdefault(of, []).append(our_backfill(home, command))
        print(f"{of_home(home)}, {args.rounds} rounds.\n{before}\n{machine(args.busy)}\n")
    theirs = list(costs)[: len(codexes)]
    head = ["backfill", "time passed", "CPU seconds", "memory", *(f"{it} takes" for it in theirs)]
    print(table(head, [_row(of, found, costs, theirs) for of, found in costs.items()]))


def _row(of: str, found: list[Cost], costs: dict[str, list[Cost]], theirs: list[str]) -> list[str]:
    row = [of, least_and_median([cost.wall for cost in found])]
    row.append(least_and_median([cost.cpu for cost in found]))
    row.append(f"{max(cost.memory_mb for cost in found):.0f} MB")
    for other in theirs:
        wall = min(cost.wall for cost in costs[other]) / min(cost.wall for cost in found)
        cpu = min(cost.cpu for cost in costs[other]) / min(cost.cpu for cost in found)
        row.append("" if of in theirs else f"{times(wall)}, CPU {times(cpu)}")
    return row


if __name__ == "__main__":
    main()
