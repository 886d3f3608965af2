"""What the picker costs: whole processes in a terminal, from the command to what is on the screen.

    python -m tests.bench.browse HOME [--rounds 10] [--many 100000] [--busy 2]

HOME is read only; :mod:`tests.bench.homes` makes one. Times are medians, and ratios to what Python
takes to load Textual, or SQLite alone, in turn with them. ``--many`` makes a home of so many small
threads for the memory; 0 leaves that out. Prints Markdown.
"""

import argparse
import fcntl
import json
import os
import pty
import re
import select
import sqlite3
import statistics
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Self

from textual.app import App

from cli.browse.picked import Picked
from cli.browse.reader.screen import ReaderScreen
from cli.render.labels import label
from cli.terminal.cells import settled
from cli.turns.source import TurnSource
from state.db.steps import run_steps
from state.query.listing import page_steps
from state.query.model import Query
from state.query.rows import Row
from state.thread_index import ThreadIndex, open_index
from tests.bench.measure import (
    START,
    Cost,
    Failed,
    busy,
    command,
    compile_program,
    cpu_of,
    environment,
    machine,
    of_home,
    peak_mb,
    python,
    run,
    seconds,
    table,
    times,
)

TEXTUAL: Final = "import textual.app; print('started')"
"""The floor of a program with a screen."""
_SIZE: Final = (40, 120)
_SCREEN: Final = (_SIZE[1], _SIZE[0])
_LOOK_S: Final = 0.001
_PATIENCE_S: Final = 60
_SEQUENCE: Final = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[=>()].?)"
)
_TOPICS: Final = ("parser", "cursor", "lease", "fence", "cache", "retry", "buffer", "window")
_READS_KEYS: Final = b"\x1b[?2004h"
"""By this Textual asks the terminal to mark what is pasted."""
WORD: Final = "parser"
"""Typed letter by letter; very many threads have it in their messages."""


class Screen:
    """The picker in a terminal of its own."""

    def __init__(self, words: Sequence[str]) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            words,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(TERM="xterm-256color", LANG="C.UTF-8"),
            start_new_session=True,
        )
        os.close(theirs)
        self._written = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def press(self, keys: str) -> float:
        """Press keys. Gives when that was."""
        self._written = b""
        now = time.perf_counter()
        os.write(self._ours, keys.encode())
        return now

    def until(self, *patterns: str, since: float | None = None) -> float:
        """How long it takes until what was drawn since the last key matches all patterns. Raises
        Failed if it never does."""
        began = self.began if since is None else since
        wanted = [re.compile(pattern) for pattern in patterns]
        while time.perf_counter() < began + _PATIENCE_S:
            if all(pattern.search(self._shown) for pattern in wanted):
                return time.perf_counter() - began
            if select.select([self._ours], [], [], 0.1)[0]:
                try:
                    self._written += os.read(self._ours, 65536)
                except OSError:
                    break
        raise Failed(f"{patterns} are not on the screen: {self._shown[-2000:]}")

    def live(self) -> float:
        """How long it takes until keys are read."""
        while _READS_KEYS not in self._written:
            self._written += os.read(self._ours, 65536)
        passed = time.perf_counter() - self.began
        self.settle()
        return passed

    def settle(self) -> None:
        """Wait until nothing has been drawn for a while."""
        while select.select([self._ours], [], [], 0.3)[0]:
            os.read(self._ours, 65536)

    @property
    def _shown(self) -> str:
        return _SEQUENCE.sub(b"", self._written).decode(errors="replace")


def newest(index: Path) -> str:
    """How the title of the first thread in the list begins."""
    with closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True)) as connection:
        (row,) = run_steps(page_steps(Query(sort_key="recency_at", limit=1)), connection).rows
    return settled(label(row))[:24].rstrip()


@contextmanager
def opened(home: Path, index: Path) -> Iterator[tuple[Screen, float]]:
    """The picker, and how long it took until its first rows were there."""
    first = re.escape(newest(index))
    with Screen(command(home, index, "browse")) as screen:
        yield screen, screen.until(first)


def started(home: Path, index: Path) -> tuple[Cost, Cost]:
    """From the command to the first rows, and until keys are read."""
    with opened(home, index) as (screen, passed):
        first = Cost(passed, cpu_of(screen.process.pid))
        live = screen.live()
        return first, Cost(live, cpu_of(screen.process.pid))


def keys(home: Path, index: Path, rounds: int) -> dict[str, list[Cost]]:
    """From a key to the titles, to what was said, and to the reader. The CPU seconds of a key are
    those of all that it brings about."""
    found: dict[str, list[Cost]] = {"titles": [], "messages": [], "reader": []}
    with opened(home, index) as (screen, _):
        screen.live()
        for _ in range(rounds):
            for letter in WORD:
                used = cpu_of(screen.process.pid)
                since = screen.press(letter)
                titles = screen.until(r"titles [\d,.]+", since=since)
                messages = screen.until(r"messages [\d,.]+", since=since)
                screen.settle()
                used = cpu_of(screen.process.pid) - used
                found["titles"].append(Cost(titles, used))
                found["messages"].append(Cost(messages, used))
            screen.press("\x1b")  # the text goes
            screen.settle()
        for _ in range(rounds):
            used = cpu_of(screen.process.pid)
            since = screen.press("\r")
            passed = screen.until(r"turn [\d,]+ of [\d,]+", since=since)
            screen.settle()
            found["reader"].append(Cost(passed, cpu_of(screen.process.pid) - used))
            screen.press("\x1b")
            screen.settle()
    return found


async def reader_opened(
    home: Path, index: Path, ids: list[str], rounds: int
) -> dict[str, list[Cost]]:
    """What opening each of some threads costs, in turn, in each round in another app: until its
    last line is drawn. None of them may be stored in the index."""
    found: dict[str, list[Cost]] = {id_: [] for id_ in ids}
    async with open_index(home, index) as store:
        await store.sync()
        rows = [await store.thread(id_) for id_ in ids]
        for _ in range(rounds):
            for row in rows:
                found[row["id"]].append(await _once(store, row))
    return found


async def _once(store: ThreadIndex, row: Row) -> Cost:
    app: App[Picked | None] = App()
    async with app.run_test(size=_SCREEN) as pilot:
        await pilot.pause()
        began, used = time.perf_counter(), time.process_time()
        screen = ReaderScreen(TurnSource(store, row))
        await app.push_screen(screen)
        while not screen.turns.drawn:
            await pilot.pause(_LOOK_S)
        return Cost(time.perf_counter() - began, time.process_time() - used)


def memory(home: Path, index: Path) -> float:
    """The peak of the process after much scrolling and a search."""
    with opened(home, index) as (screen, _):
        screen.live()
        for key in (*("\x1b[6~" for _ in range(30)), "\x1b[1;5F", "\x1b[1;5H", *WORD):
            screen.press(key)
            screen.settle()
        return peak_mb(screen.process.pid)


def many(home: Path, count: int) -> None:
    """A home of so many small threads."""
    for number in range(count):
        own_id = f"019a{number >> 16:04x}-{number & 0xFFFF:04x}-7000-8000-{number:012x}"
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_760_000_000 + number * 60))
        folder = home / "sessions" / at[:10].replace("-", "/")
        folder.mkdir(parents=True, exist_ok=True)
        meta = {"id": own_id, "timestamp": f"{at}.000Z", "cwd": f"/p{number % 40}", "source": "cli"}
        said = {"type": "user_message", "message": f"thread {number} about a {_TOPICS[number % 8]}"}
        lines = [
            {"timestamp": f"{at}.000Z", "type": kind, "payload": payload}
            for kind, payload in (("session_meta", meta), ("event_msg", said))
        ]
        path = folder / f"rollout-{at.replace(':', '-')}-{own_id}.jsonl"
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def line(work: str, goal_s: float, found: Sequence[Cost], floors: Mapping[str, float]) -> list[str]:
    """A row of the table; bold where the median misses the goal."""
    median = statistics.median(cost.wall for cost in found)
    ratios = ", ".join(f"{times(median / floor)} {name}" for name, floor in floors.items())
    cpu = seconds(statistics.median(cost.cpu for cost in found))
    cell = f"{seconds(median)} ({seconds(min(cost.wall for cost in found))}), CPU {cpu}"
    met = median <= goal_s
    return [work, f"≤ {goal_s * 1000:g} ms", cell if met else f"**{cell}**", ratios]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("home", type=Path, metavar="HOME")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--many", type=int, default=100_000, metavar="N")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="busy loops beside it")
    args = parser.parse_args()
    home = args.home.absolute()
    compile_program()
    before = machine(args.busy)
    rows = []
    with tempfile.TemporaryDirectory(dir=home.parent) as name:
        folder = Path(name)
        index = folder / "index.sqlite3"
        run(command(home, index, "backfill"))
        with busy(args.busy):
            floors: dict[str, list[float]] = {"`textual.app`": [], "`sqlite3`": []}
            starts = []
            for _ in range(args.rounds):
                floors["`textual.app`"].append(run(python(TEXTUAL)).wall)
                floors["`sqlite3`"].append(run(python(START)).wall)
                starts.append(started(home, index))
            found = keys(home, index, args.rounds)
        middle = {name: statistics.median(passed) for name, passed in floors.items()}
        first, live = zip(*starts, strict=True)
        rows.append(line("first rows on the screen", 0.35, first, middle))
        rows.append(line("keys are read", 1, live, middle))
        rows.append(line("a key to the changed list, titles", 0.05, found["titles"], middle))
        rows.append(line("a key to the list with what was said", 0.15, found["messages"], middle))
        rows.append(line("a key to the reader", 0.5, found["reader"], middle))
        if args.many:
            large, of_large = folder / "many", folder / "many.sqlite3"
            many(large, args.many)
            run(command(large, of_large, "backfill"))
            peak = memory(large, of_large)
            shown = f"{peak:.0f} MB"
            work = f"memory with {args.many:,} threads"
            rows.append([work, "≤ 120 MB", shown if peak <= 120 else f"**{shown}**", ""])
    print(f"{before}\n{machine(args.busy)}\n")
    print(table(["work", "goal", of_home(home), "as often as loading"], rows))


if __name__ == "__main__":
    main()
