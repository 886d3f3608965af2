"""Runs programs and says what they cost: time, CPU seconds of all their processes, memory."""

import json
import os
import platform
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[2]
THREADKEEP: Final = (sys.executable, "-m", "cli")
START: Final = "import sqlite3; print('started')"
"""The floor of a command."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """What some work cost."""

    wall: float
    cpu: float
    memory_mb: float = 0
    """The peak of the largest process."""

    def __add__(self, other: "Cost") -> "Cost":
        memory = max(self.memory_mb, other.memory_mb)
        return Cost(self.wall + other.wall, self.cpu + other.cpu, memory)


class Failed(Exception):
    """A program ended with an error, or did not end in time."""


def command(home: Path, index: Path, *arguments: str) -> list[str]:
    """A command of ours."""
    return [*THREADKEEP, "--home", str(home), "--db", str(index), *arguments]


def python(program: str, *arguments: str) -> list[str]:
    """A program in a Python of its own."""
    return [sys.executable, "-c", program, *arguments]


def environment(**more: str) -> dict[str, str]:
    """That of a user who has none of our settings, and whose Python keeps what it compiled."""
    ours = ("THREADKEEP_", "CODEX_", "XDG_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPATH": str(PROJECT), **more}


_RUNNER: Final = """
import ctypes, json, os, resource, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: what outlives its parent counts
began = time.perf_counter()
first = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
status = os.waitpid(first, 0)[1]
passed = time.perf_counter() - began
while time.perf_counter() < began + passed + 2:
    try:
        time.sleep(0 if os.waitpid(-1, os.WNOHANG)[0] else 0.005)
    except ChildProcessError:
        break
used = resource.getrusage(resource.RUSAGE_CHILDREN)
cost = passed, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
os.write(int(sys.argv[1]), json.dumps([*cost, os.waitstatus_to_exitcode(status)]).encode())
"""
"""A process inherits the peak memory of the one that starts it: so that is a small one."""


def run(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    *,
    patience_s: float = 600,
    expect: str = "",
    statuses: Sequence[int] = (0,),
) -> Cost:
    """Run a program to its end, and its processes to theirs. Raises Failed, also if ``expect`` is
    not in what it prints, or if that is nothing."""
    told, tell = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", _RUNNER, str(tell), *command],
        env=environment() if env is None else env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(tell,),
        start_new_session=True,
    )
    os.close(tell)
    kill = threading.Timer(patience_s, os.killpg, (process.pid, signal.SIGKILL))
    kill.start()
    with open(told, "rb") as pipe:
        out = process.communicate()[0]
        kill.cancel()
        result = pipe.read()
    shown = " ".join(command)
    if process.returncode == -signal.SIGKILL:
        raise Failed(f"> {patience_s:.0f} s: {shown}")
    wall, cpu, memory_mb, status = json.loads(result)
    if status not in statuses:
        last = out.decode(errors="replace").strip().splitlines()[-1:]
        raise Failed(f"status {status}: {shown}: {last}")
    if not out.strip() or expect.encode() not in out:
        raise Failed(f"nothing found: {shown}")
    return Cost(wall, cpu, memory_mb)


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _children(parent: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if int(_stat(int(name))[1]) == parent:
                    found.append(int(name))
            except OSError:
                continue  # it has ended
    return found


def cpu_of(pid: int) -> float:
    """CPU seconds of a running process, of those it started and of those it waited for."""
    try:
        own = sum(map(int, _stat(pid)[11:15])) / _TICKS
    except OSError:
        return 0
    return own + sum(map(cpu_of, _children(pid)))


def peak_mb(pid: int) -> float:
    """The peak memory of a running process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0


def timed(work: Callable[[], object]) -> Cost:
    """What work in this process costs."""
    began, used = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - began, time.process_time() - used)


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many processes that do nothing but use a core each, beside the work."""
    program = "import ctypes; ctypes.CDLL(None).prctl(1, 9)\nwhile True: pass"  # ends with this one
    started = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def compile_program() -> None:
    """So that no start is measured that compiles modules."""
    folders = [PROJECT / name for name in ("cli", "state", "rollout", "migrations")]
    subprocess.run([sys.executable, "-m", "compileall", "-q", *folders], env=environment())


def machine(loops: int) -> str:
    """A line about this machine and what runs on it."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
            break
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{time.strftime('%Y-%m-%d %H:%M')}; {os.cpu_count()} cores ({model}), Python"
        f" {platform.python_version()}, SQLite {sqlite3.sqlite_version};"
        f" {loops} busy loops beside it; load {load}"
    )


def of_home(home: Path) -> str:
    """How much is in a home."""
    sizes = [path.stat().st_size for path in home.rglob("rollout-*")]
    return f"{len(sizes):,} rollouts, {sum(sizes) / 1e6:,.0f} MB"


def seconds(value: float) -> str:
    """A time as people write it, to two or three digits."""
    if value < 1:
        return f"{value * 1000:.{2 if value < 0.001 else 1 if value < 0.01 else 0}f} ms"
    return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def times(ratio: float) -> str:
    """How often something fits, to two or three digits."""
    return f"{ratio:.{2 if ratio < 2 else 1 if ratio < 100 else 0}f}×"


def least_and_median(values: Sequence[float]) -> str:
    """The two figures that a row shows."""
    least, median = seconds(min(values)), seconds(statistics.median(values))
    return least if least == median else f"{least} ({median})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one work."""

    work: str
    goal: str
    measured: str
    met: bool

    @property
    def cell(self) -> str:
        """What was measured; bold where it misses the goal."""
        return self.measured if self.met else f"**{self.measured}**"


def in_turn(work: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """What each cost, in each round one after the other."""
    costs: dict[str, list[Cost]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, once in work.items():
            costs[name].append(once())
    return costs


def ratio(work: str, costs: Sequence[Cost], floor: Sequence[Cost], most: float, of: str) -> Row:
    """A row that compares whole processes."""
    cpu = min(cost.cpu for cost in costs) / min(cost.cpu for cost in floor)
    wall = min(cost.wall for cost in costs) / min(cost.wall for cost in floor)
    used = least_and_median([cost.cpu for cost in costs])
    goal = f"≤ {most:g} × {of}"
    return Row(work, goal, f"{times(cpu)} ({times(wall)} the time): {used}", cpu <= most)


def within(work: str, costs: Sequence[Cost], most: float) -> Row:
    """A row for a time that passes."""
    passed = [cost.wall for cost in costs]
    measured = f"{least_and_median(passed)}, CPU {seconds(min(cost.cpu for cost in costs))}"
    return Row(work, f"≤ {most * 1000:g} ms", measured, min(passed) <= most)
