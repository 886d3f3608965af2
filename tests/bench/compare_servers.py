"""The lists of the real app-server and of ours on the same home, in turn, with ratios.

    THREADKEEP_CODEX_BIN=/path/to/codex python -m tests.bench.compare_servers HOME [--rounds 20]

Codex runs on a copy made of hard links, so that its databases do not end up in HOME. Both are
asked over pipes for the same threads: of all providers, 25 a page.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LISTS: dict[str, dict[str, Any]] = {
    "default": {},
    "updated_at": {"sortKey": "updated_at"},
    "cwd": {"cwd": "/home/dev/projects/beta"},
    "search": {"searchTerm": "lease fence"},
}


class Server:
    """An app-server over pipes."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._began = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._into, self._from = self._process.stdin, self._process.stdout
        self._number = 0
        hello = {"clientInfo": {"name": "bench", "version": "1"}}
        self.ask("initialize", {**hello, "capabilities": {"experimentalApi": True}})
        self.hello_s = time.perf_counter() - self._began
        began = time.perf_counter()
        self.ask("thread/list", {})
        self.first_list_s = time.perf_counter() - began

    def ask(self, method: str, params: Mapping[str, Any]) -> tuple[float, Any]:
        """How long an answer took, in seconds, and its result."""
        self._number += 1
        request = {"id": self._number, "method": method, "params": params}
        line = json.dumps(request).encode() + b"\n"
        mark = b'"id":%d,' % self._number
        began = time.perf_counter()
        self._into.write(line)
        pieces: list[bytes] = []
        while True:
            pieces.append(self._from.read(2**20) or b"")
            if not pieces[-1].endswith(b"\n"):
                continue
            passed = time.perf_counter() - began
            for answer in b"".join(pieces).splitlines():
                if mark in answer[:64]:
                    return passed, json.loads(answer)["result"]
            pieces.clear()  # notifications

    def end(self) -> None:
        """End its input, and wait."""
        self._into.close()
        self._process.wait()


@contextmanager
def both(home: Path) -> Iterator[tuple[Server, Server]]:
    """Our server, once its index is filled, and the real one, on a copy."""
    binary = os.environ["THREADKEEP_CODEX_BIN"]
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        copy = Path(folder, "home")
        shutil.copytree(home, copy, copy_function=os.link)
        ours = [sys.executable, "-m", "cli", "--home", str(home)]
        mine = Server([*ours, "--db", f"{folder}/index.sqlite3", "app-server"], {})
        while not mine.ask("thread/list", {"limit": 1})[1]["complete"]:
            time.sleep(0.2)
        codex = Server([binary, "app-server"], {"CODEX_HOME": str(copy)})
        yield mine, codex
        mine.end()
        codex.end()


def main() -> None:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    with both(arguments.home) as (mine, codex):
        print(f"initialize {mine.hello_s:.2f} s, then a first list {mine.first_list_s:.2f} s")
        print(f"Codex: {codex.hello_s:.2f} s, then {codex.first_list_s:.2f} s")
        for name, params in LISTS.items():
            times: defaultdict[str, list[float]] = defaultdict(list)
            for _ in range(arguments.rounds):
                everybody = {**params, "modelProviders": []}
                times["codex"].append(codex.ask("thread/list", everybody)[0])
                for _ in range(5):
                    quick = {**everybody, "useStateDbOnly": True}
                    times["index"].append(codex.ask("thread/list", quick)[0])
                    times["ours"].append(mine.ask("thread/list", params)[0])
            own, full, index = (
                statistics.median(times[who]) * 1000 for who in ("ours", "codex", "index")
            )
            print(
                f"{name:<12} {own:6.2f} ms, Codex {full:8.2f} ms ({full / own:.1f} times),"
                f" its index alone {index:6.2f} ms ({index / own:.1f} times)"
            )


if __name__ == "__main__":
    main()
