"""threadkeep and other programs for rollouts, on copies of one home, in turn, with ratios.

    python -m tests.bench.compare_peers HOME [--rounds 3] [--busy 2] [--only NAME ...]

Compared are those that are installed: Codex's app-server, fast-resume and agentsview (PyPI),
ccusage (npm) and ripgrep. THREADKEEP_CODEX_BIN, THREADKEEP_FAST_RESUME, THREADKEEP_AGENTSVIEW,
THREADKEEP_CCUSAGE and THREADKEEP_RG say where they are; else they are looked for on the PATH. pip's
and npm's small programs that only start another one cost 0.03 to 0.1 s: name the other one.
Prints Markdown, and its progress to stderr. Whole processes, the least (and the median) of all
rounds. What takes more than 10 s is done once.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.bench.measure import (
    Cost,
    Failed,
    busy,
    compile_program,
    least_and_median,
    machine,
    of_home,
    seconds,
    table,
    times,
)
from tests.bench.peers import RARE, Program, Sample, programs

WORKS: Final = {
    "index": "complete index with full text, from nothing",
    "again": "the same, nothing changed",
    "appended": "find what was just appended to a thread",
    "list": "list 50, nothing changed",
    "rare": "search for a word of one thread",
    "common": "search for a common word",
    "usage": "usage by day",
}
_ONCE_S: Final = 10
_TIMES: Final = 3
"""How often the short works are measured in a round, if there are as many rounds."""


class Comparison:
    """What each work cost each program."""

    def __init__(self, of: list[Program], sample: Sample, common: str, patience_s: float) -> None:
        self.programs = of
        self._sample = sample
        for program in of:
            sample.add(program.home, RARE)
        self.costs: defaultdict[tuple[str, str], list[Cost]] = defaultdict(list)
        self.failed: dict[tuple[str, str], str] = {}
        self._common = common
        self._patience_s = patience_s

    def round(self, number: int, repeated: int) -> None:
        """All works, each by all programs in turn; the short ones so many times."""
        text = f"quincetau{number}"
        for program in self.programs:
            self._measure("index", program, lambda it=program: self._index(it, number))  # type: ignore[misc]
        self._each("again", lambda it: it.again())
        for program in self.programs:
            self._sample.add(program.home, text)
        self._each("appended", lambda it: it.appended(text, self._sample.id))
        with ExitStack() as stack:
            for program in self.programs:
                self._measure("server", program, program.start)
                stack.callback(program.stop)
            for _ in range(repeated):
                self._each("list", lambda it: it.list())
                self._each("rare", lambda it: it.search(RARE, self._sample.id))
                self._each("common", lambda it: it.search(self._common))
                self._each("usage", lambda it: it.usage())

    def _index(self, program: Program, number: int) -> Cost | None:
        if number and not self.costs["index", program.name]:
            return None  # it makes none, or it is not shown
        program.reset()
        return program.index(self._patience_s)

    def _each(self, work: str, do: Callable[[Program], Cost | None]) -> None:
        for program in self.programs:
            self._measure(work, program, lambda it=program: do(it))  # type: ignore[misc]

    def _measure(self, work: str, program: Program, do: Callable[[], Cost | None]) -> None:
        needs = {(work, program.name), ("index", program.name), ("server", program.name)}
        last = self.costs[work, program.name][-1:]
        if needs & self.failed.keys() or (last and last[0].wall > _ONCE_S):
            return
        try:
            cost = do()
        except Failed as error:
            self.failed[work, program.name] = str(error)
            print(f"{program.name}, {work}: {error}", file=sys.stderr)
            return
        if cost:
            self.costs[work, program.name].append(cost)
            print(f"{program.name}, {work}: {seconds(cost.wall)}", file=sys.stderr)

    def rows(self, of: Callable[[Cost], float]) -> Iterator[list[str]]:
        """A row for each work: what it took, and how often threadkeep's least fits in it."""
        for work, name in WORKS.items():
            ours = self.costs[work, self.programs[0].name]
            base = min(map(of, ours)) if ours else 0
            yield [name, *(self._cell(work, program, of, base) for program in self.programs)]

    def _cell(self, work: str, program: Program, of: Callable[[Cost], float], base: float) -> str:
        values = [of(cost) for cost in self.costs[work, program.name]]
        if not values:
            return self.failed.get((work, program.name), "–").split(":")[0][:24]
        shown = least_and_median(values)
        ratio = f", {times(min(values) / base)}" if base and program is not self.programs[0] else ""
        return shown + ratio

    def behind(self) -> Iterator[str]:
        """Where another program was faster."""
        ours = self.programs[0].name
        for work, name in WORKS.items():
            least = {
                program.name: min(cost.wall for cost in self.costs[work, program.name])
                for program in self.programs
                if self.costs[work, program.name]
            }
            if least and (first := min(least, key=least.__getitem__)) != ours:
                yield f"{name}: {first}"


def main() -> None:
    """Compare, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="busy loops beside it")
    parser.add_argument("--common", default="reply", metavar="WORD", help="the common word")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--patience", type=float, default=150, metavar="S", help="for an index")
    args = parser.parse_args()
    home = args.home.absolute()
    compile_program()
    with tempfile.TemporaryDirectory(dir=home.parent) as folder, busy(args.busy):
        found = programs(Path(folder), home, args.only)
        compared = Comparison(found, Sample.of(home), args.common, args.patience)
        before = machine(args.busy)
        for number in range(args.rounds):
            compared.round(number, min(args.rounds, _TIMES))
        print(f"{of_home(home)}, {args.rounds} rounds.\n{before}\n{machine(args.busy)}\n")
        versions = {it.command: it.version() for it in compared.programs}
        print("; ".join(versions.values()), end="\n\n")
    names = [program.name for program in compared.programs]
    print(table(["time passed", *names], list(compared.rows(lambda cost: cost.wall))), end="\n\n")
    print(table(["CPU seconds", *names], list(compared.rows(lambda cost: cost.cpu))), end="\n\n")
    print("Another is faster:", "; ".join(compared.behind()) or "nowhere")
    for (work, name), why in compared.failed.items():
        print(f"failed: {name}, {work}: {why}")


if __name__ == "__main__":
    main()
