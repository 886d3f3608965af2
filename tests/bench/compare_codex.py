"""The real Codex and threadkeep on the same home, in turn, with ratios.

    THREADKEEP_CODEX_BIN=/path/to/codex python -m tests.bench.compare_codex HOME [--rounds 3]

Codex runs on a copy made of hard links, so that its databases do not end up in HOME. It needs no
network and no model: only its own backfill and lists are timed. Its backfill is the time to answer
``initialize`` on an empty database, less the same with a full one; ours is the time of the job in
a running process, and of the whole ``threadkeep backfill`` command.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

LISTS: dict[str, dict[str, Any]] = {
    "default": {"limit": 50},
    "updated_at": {"limit": 50, "sortKey": "updated_at"},
    "cwd": {"limit": 50, "cwd": "/home/dev/projects/beta"},
    "search": {"limit": 50, "searchTerm": "lease fence"},
    "default, database only": {"limit": 50, "useStateDbOnly": True},
}
OURS = {
    "default": {},
    "updated_at": {"sort_key": "updated_at"},
    "cwd": {"cwds": ["/home/dev/projects/beta"]},
    "search": {"search": "lease fence"},
    "default, database only": {},
}
OUR_PROGRAM = """
import asyncio, json, statistics, sys, time, resource
from pathlib import Path
async def main():
    # Not above: worker processes run that again.
    from state.thread_index import open_index
    from state.query.listing import Query
    home, path, lists = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    async with open_index(home, path) as index:
        began, first = time.perf_counter(), []
        await index.backfill(lambda counts: first or first.append(time.perf_counter() - began))
        result = {"backfill": time.perf_counter() - began, "first": first[0]}
        for name, filters in lists.items():
            times = []
            for _ in range(30):
                begin = time.perf_counter()
                await index.page(Query(limit=50, **{k: tuple(v) if isinstance(v, list) else v
                                                    for k, v in filters.items()}))
                times.append(time.perf_counter() - begin)
            result[name] = statistics.median(times)
        result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        result["worker memory"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(json.dumps(result))
if __name__ == "__main__":
    asyncio.run(main())
"""


class Codex:
    """One ``codex app-server`` over stdio."""

    def __init__(self, binary: str, home: Path) -> None:
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            [binary, "app-server", "--listen", "stdio://"],
            env={**os.environ, "CODEX_HOME": str(home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._number = 0
        client = {"name": "bench", "version": "1"}
        self.call("initialize", {"clientInfo": client, "capabilities": {"experimentalApi": True}})
        self.start_s = time.perf_counter() - self.began

    def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._pipes()
        self._number += 1
        stdin.write(json.dumps({"id": self._number, "method": method, "params": params}) + "\n")
        stdin.flush()
        for line in stdout:
            answer: dict[str, Any] = json.loads(line)
            if answer.get("id") == self._number:
                return answer
        raise RuntimeError(f"codex ended before it answered {method}")

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("no pipes")
        return self._process.stdin, self._process.stdout

    def close(self) -> float:
        """End it: its peak memory in MB."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        for pipe in self._pipes():
            pipe.close()
        self._process.terminate()
        self._process.wait()
        return max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def median_of(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def codex_round(binary: str, home: Path) -> dict[str, float]:
    for path in home.iterdir():
        if path.name.endswith((".sqlite", "-wal", "-shm")):
            path.unlink()
    first = Codex(binary, home)
    memory = first.close()
    second = Codex(binary, home)
    result = {"backfill": first.start_s - second.start_s, "whole": first.start_s}
    for name, params in LISTS.items():
        params = {"modelProviders": [], **params}
        result[name] = median_of(lambda p=params: second.call("thread/list", p), 7)  # type: ignore[misc]
    second.close()
    return result | {"memory": memory}


def our_round(home: Path, folder: Path) -> dict[str, float]:
    path = folder / "ours" / "index.sqlite3"
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    program = folder / "ours.py"
    program.write_text(OUR_PROGRAM)
    command = [sys.executable, str(program), str(home), str(path), json.dumps(OURS)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    shutil.rmtree(path.parent)
    base = [sys.executable, "-m", "cli", "--home", str(home), "--db", str(path)]
    began = time.perf_counter()
    subprocess.run([*base, "backfill"], check=True, capture_output=True)
    result["whole"] = time.perf_counter() - began
    one_shot = [*base, "list"]
    result["one-shot list"] = median_of(
        lambda: subprocess.run(one_shot, check=True, capture_output=True), 7
    )
    result["no-change sync command"] = median_of(
        lambda: subprocess.run([*base, "sync"], check=True, capture_output=True), 3
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    binary = os.environ.get("THREADKEEP_CODEX_BIN")
    with tempfile.TemporaryDirectory(dir=args.home.absolute().parent) as name:
        folder = Path(name)
        twin = folder / "home"
        if binary:
            shutil.copytree(args.home, twin, copy_function=os.link)
        rounds = []
        for _ in range(args.rounds):
            theirs = codex_round(binary, twin) if binary else {}
            rounds.append((theirs, our_round(args.home.absolute(), folder)))
    names = list(dict.fromkeys(key for pair in rounds for part in pair for key in part))
    print(f"{'median of ' + str(args.rounds):28} {'codex':>10} {'threadkeep':>11} {'ratio':>8}")
    for name in names:
        unit, scale = ("MB", 1) if "memory" in name else ("ms", 1000)
        theirs_m = [t[name] * scale for t, _ in rounds if name in t]
        ours_m = [o[name] * scale for _, o in rounds if name in o]
        pairs = [t[name] / o[name] for t, o in rounds if name in t and name in o]
        shown = [f"{statistics.median(m):.1f} {unit}" if m else "" for m in (theirs_m, ours_m)]
        ratio = f"{statistics.median(pairs):.1f}x" if pairs else ""
        print(f"{name:28} {shown[0]:>10} {shown[1]:>11} {ratio:>8}")


if __name__ == "__main__":
    main()
