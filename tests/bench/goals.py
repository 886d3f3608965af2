"""What threadkeep itself costs, each work as a ratio to a floor that is measured in turn with it.

    python -m tests.bench.goals HOME [HOME ...] [--part NAME ...] [--rounds 10] [--busy 2]

Homes are read only; :mod:`tests.bench.homes` makes some. The parts: ``fill`` (from nothing),
``commands`` (whole processes, nothing changed), ``open`` (in an open index), ``long`` (a legacy
thread of ``--long-mb``, which is made first) and ``memory`` (of any command). Prints Markdown: the
least of all rounds decides, the median is in brackets. A whole process is judged by its CPU
seconds, as the rest of the machine adds to the time that passes.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from rollout.schema.modes import LEGACY
from rollout.search.terms import terms_of
from state.db.steps import run_steps
from state.fulltext.search import Search, search
from state.query.listing import page_steps
from state.query.model import Query
from state.thread_index import ThreadIndex, open_index
from state.thread_store import open_store
from state.turns.answers import TurnAnswers
from state.turns.pages import PageQuery
from tests.bench.browse import reader_opened
from tests.bench.homes import make_home
from tests.bench.long import write_long
from tests.bench.measure import (
    START,
    Cost,
    Row,
    busy,
    command,
    compile_program,
    environment,
    in_turn,
    machine,
    of_home,
    python,
    ratio,
    run,
    table,
    timed,
    within,
)
from tests.bench.peers import Sample
from tests.samples.homes import thread_id

READ: Final = """
import os, sys
buffer = memoryview(bytearray(2**18))
for folder, _, files in os.walk(sys.argv[1]):
    for name in files:
        if name.startswith("rollout-"):
            with open(f"{folder}/{name}", "rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass
print("read")
"""
"""The floor of a fill."""
THREE_WORDS: Final = "parser stream query"
_MANY: Final = 10_000
SCREEN: Final = 40
"""Lines of a first screen."""


def fill(home: Path, folder: Path, rounds: int) -> Iterator[Row]:
    """From nothing."""

    def new(name: str) -> Cost:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            return run(command(home, Path(place, "index.sqlite3"), name))

    costs = in_turn(
        {
            "floor": lambda: run(python(READ, str(home))),
            "metadata": lambda: new("list"),
            "all": lambda: new("backfill"),
        },
        min(rounds, 3),
    )
    read = "reading all bytes"
    yield ratio("metadata, from nothing", costs["metadata"], costs["floor"], 3.5, read)
    everything = "metadata, text and usage, from nothing"
    yield ratio(everything, costs["all"], costs["metadata"], 2, "metadata")


def commands(home: Path, index: Path, rounds: int) -> Iterator[Row]:
    """Whole processes, nothing changed."""
    one = Sample.of(home).id
    works = {
        "list": ["list"],
        "show": ["show", one],
        "search": ["search", "reply"],
        "status": ["status"],
        "show --outline": ["show", one, "--outline"],
    }
    costs = in_turn(
        {
            "floor": lambda: run(python(START)),
            **{name: partial(run, command(home, index, *it)) for name, it in works.items()},
        },
        rounds,
    )
    start = '`python -c "import sqlite3"`'
    yield ratio("`list`", costs["list"], costs["floor"], 5 if _many(home) else 2.5, start)
    for name in list(works)[1:]:
        yield ratio(f"`{name}`", costs[name], costs["list"], 1.5, "`list`")


def _many(home: Path) -> bool:
    return sum(1 for _ in home.rglob("rollout-*")) > _MANY


def look(home: Path) -> int:
    """The floor of looking for changes."""
    count, folders = 0, [str(path) for path in home.iterdir() if path.name.endswith("sessions")]
    while folders:
        with os.scandir(folders.pop()) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)
                    count += 1
    return count


def in_open_index(home: Path, index: Path, rounds: int) -> Iterator[Row]:
    """Work in an index that is open, so that no start is measured."""
    with asyncio.Runner() as runner:
        opened = open_index(home, index)
        threads = runner.run(opened.__aenter__())
        runner.run(threads.sync())
        floors, syncs = [], []
        for _ in range(rounds):
            floors.append(timed(lambda: look(home)))
            syncs.append(timed(lambda: runner.run(threads.sync())))
        yield ratio("looking for changes", syncs, floors, 1.5, "scandir and stat")
        for name, query, ranked, most in (
            ("search for three common words", THREE_WORDS, False, 0.020),
            ("search by matches", "reply", True, 0.030),
        ):
            among = Query(sort_key="updated_at", all_sources=True)
            wanted = Search(tuple(terms_of(query)), among, ranked=ranked)
            once = partial(_search, runner, threads, wanted)
            yield within(name, [timed(once) for _ in range(rounds)], most)
        runner.run(opened.__aexit__(None, None, None))
    with closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True)) as connection:
        count = walk(connection)
        times_s = [timed(lambda: walk(connection)) for _ in range(min(rounds, 5))]
        name = f"walk {'15,000' if count >= 15_000 else 'all'} threads in pages of 100"
        yield within(name, times_s, 0.3)


def _search(runner: asyncio.Runner, index: ThreadIndex, wanted: Search) -> None:
    runner.run(search(index, wanted))


def walk(connection: sqlite3.Connection) -> int:
    """Page through up to 15,000 threads."""
    query, count = Query(limit=100, all_sources=True), 0
    while count < 15_000:
        page = run_steps(page_steps(query), connection)
        count += len(page.rows)
        if page.next_cursor is None:
            break
        query = replace(query, cursor=page.next_cursor)
    return count


def appended(folder: Path, rounds: int) -> Iterator[Cost]:
    """How long the index needs for one line more in one of five files."""
    home = make_home(folder / "five", 5)
    largest = max(home.rglob("rollout-*.jsonl"), key=lambda file: file.stat().st_size)
    line = {"timestamp": "2026-01-01T00:00:00.000Z", "type": "event_msg", "payload": {"type": "x"}}
    with asyncio.Runner() as runner:
        opened = open_index(home, folder / "five.sqlite3")
        index = runner.run(opened.__aenter__())
        runner.run(index.backfill())
        for _ in range(rounds * 3):
            with largest.open("a") as file:
                file.write(json.dumps(line) + "\n")
            yield timed(lambda: runner.run(index.sync()))
        runner.run(opened.__aexit__(None, None, None))


def long(folder: Path, size_mb: int, rounds: int) -> Iterator[Row]:
    """A long legacy thread whose turns were never read."""
    home, full = folder / "long", folder / "long.sqlite3"
    write_long(home, 1, LEGACY, size_mb * 10**6)
    run(command(home, full, "list"))
    copies = iter(range(10**6))

    def unseen() -> Path:
        place = folder / f"long{next(copies)}"
        place.mkdir()
        return Path(shutil.copy(full, place / "index.sqlite3"))

    pages = [first_page(home, unseen()) for _ in range(min(rounds, 5))]
    of = f"of a legacy thread of {size_mb:,} MB"
    yield within(f"first page {of}, in an open store", pages, 0.3)
    screens = [first_screen(command(home, unseen(), "show", thread_id(1))) for _ in pages]
    yield within(f"first screen {of}, `show` as a whole", screens, 0.3)
    costs = in_turn(
        {
            "floor": lambda: run(python(READ, str(home))),
            "exact": lambda: run(command(home, unseen(), "show", thread_id(1), "--turn", "1")),
        },
        min(rounds, 3),
    )
    yield ratio(f"all turns {of}", costs["exact"], costs["floor"], 1.2, "reading it")
    words = ("show", thread_id(1), "--outline")
    run(command(home, full, *words))  # finds the outlines, and keeps them
    costs = in_turn(
        {
            "list": lambda: run(command(home, full, "list")),
            "outline": lambda: run(command(home, full, *words)),
        },
        rounds,
    )
    outline = f"`show --outline` {of} that is indexed"
    yield ratio(outline, costs["outline"], costs["list"], 2, "`list`")
    write_long(home, 2, LEGACY, 10**6)
    short, whole = thread_id(2), thread_id(1)
    shown = asyncio.run(reader_opened(home, unseen(), [short, whole], min(rounds, 5)))
    yield ratio(f"the end {of}, in the reader", shown[whole], shown[short], 2, "one of 1 MB")


def first_page(home: Path, index: Path) -> Cost:
    """How long the newest page of turns takes in an open store."""
    asked = PageQuery(thread_id(1))
    work: Any = partial(TurnAnswers.turns, query=asked, view="summary")
    with asyncio.Runner() as runner:
        opened = open_store(home, index)
        store = runner.run(opened.__aenter__())
        runner.run(store.index.sync())
        passed = timed(lambda: runner.run(store.with_turns(thread_id(1), work)))
        runner.run(opened.__aexit__(None, None, None))
    return passed


def first_screen(command: Sequence[str]) -> Cost:
    """How long a command takes to print so many lines that a screen is full."""
    began = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=quiet
    ) as process:
        assert process.stdout
        for _ in range(SCREEN):
            process.stdout.readline()
        passed = time.perf_counter() - began
        process.stdout.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(passed, used)


READING: Final = (
    ["list", "--all", "--json"],
    ["search", "reply", "--limit", "500"],
    ["search", "reply", "--sort", "matches"],
    ["stats", "--by", "thread", "--limit", "10000"],
    ["status"],
    ["sync"],
    ["verify"],
    ["verify", "--deep"],
    ["codex-check"],
    ["du"],
    ["dump"],
    ["explain", "ID"],
    ["show", "ID"],
    ["export", "ID", "--format", "html", "--output", "-"],
)
MOVING: Final = (
    ["reindex"],
    ["archive", "--cwd", "/", "--yes"],
    ["unarchive", "--cwd", "/", "--yes"],
    ["delete", "--cwd", "/", "--yes"],
)
"""These have a copy of the home; they are left out where there are too many files to move."""


def memory(home: Path, index: Path, folder: Path) -> Iterator[Row]:
    """The peak of each command's largest process."""
    one = Sample.of(home).id
    copy, own = folder / "copy", folder / "copy.sqlite3"
    shutil.copytree(home, copy, copy_function=os.link)
    shutil.copy(index, own)
    peaks = {"backfill": run(command(copy, folder / "new.sqlite3", "backfill")).memory_mb}
    for arguments in (*READING, *(() if _many(home) else MOVING)):
        where = (copy, own) if arguments in MOVING else (home, index)
        words = [one if word == "ID" else word for word in arguments]
        cost = run(command(*where, *words), statuses=range(9))
        peaks[" ".join(arguments)] = cost.memory_mb
    largest = sorted(peaks, key=peaks.__getitem__, reverse=True)
    shown = f"{peaks[largest[0]]:.0f} MB (`{largest[0]}`), {peaks[largest[1]]:.0f} MB"
    yield Row(f"memory of {len(peaks)} commands", "≤ 90 MB", shown, peaks[largest[0]] <= 90)


PARTS: Final = ("fill", "commands", "open", "long", "memory")


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("homes", type=Path, nargs="+", metavar="HOME")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this; repeatable")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="busy loops beside it")
    parser.add_argument("--long-mb", type=int, default=1000, metavar="N")
    args = parser.parse_args()
    parts = args.part or PARTS
    homes = [home.absolute() for home in args.homes]
    found: dict[str, dict[Path, Row]] = {}
    compile_program()
    before = machine(args.busy)
    for home in homes:
        with tempfile.TemporaryDirectory(dir=home.parent) as name:
            index = Path(name, "index.sqlite3")
            run(command(home, index, "backfill"))
            with busy(args.busy):
                for row in measured(parts, home, index, args, last=home == homes[-1]):
                    found.setdefault(row.work, {})[home] = row
    print(f"{before}\n{machine(args.busy)}\n")
    head = ["work", "goal", *map(of_home, homes)]
    print(table(head, [_line(work, of, homes) for work, of in found.items()]))


def _line(work: str, of: Mapping[Path, Row], homes: Sequence[Path]) -> list[str]:
    goals = dict.fromkeys(row.goal for row in of.values())
    return [work, "; ".join(goals), *(of[home].cell if home in of else "" for home in homes)]


def measured(
    parts: Sequence[str], home: Path, index: Path, args: argparse.Namespace, *, last: bool
) -> Iterator[Row]:
    """The rows of one home; those that concern no home come with the last."""
    folder = index.parent
    if "fill" in parts:
        yield from fill(home, folder, args.rounds)
    if "commands" in parts:
        yield from commands(home, index, args.rounds)
    if "open" in parts:
        yield from in_open_index(home, index, args.rounds)
    if "open" in parts and last:
        yield within("a line appended, 5 files", list(appended(folder, args.rounds)), 0.005)
    if "long" in parts and last:
        yield from long(folder, args.long_mb, args.rounds)
    if "memory" in parts:
        yield from memory(home, index, folder)


if __name__ == "__main__":
    main()
