"""What the pages of ``web`` and the tools of ``mcp`` cost: whole processes and real clients.

    python -m tests.bench.pages_and_tools HOME [--rounds 10] [--busy 2]

HOME is read only; :mod:`tests.bench.homes` makes one. Prints Markdown: for each work the least and
the median time.
"""

import argparse
import asyncio
import json
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import httpx
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.bench.measure import (
    Failed,
    Row,
    busy,
    command,
    compile_program,
    environment,
    least_and_median,
    machine,
    of_home,
    run,
    table,
)

_THREAD: Final = re.compile(r'href="(/thread/[0-9a-f-]{36})["?]')
_QUERIES: Final = ("", "query", "lease", "cursor archive", "tag:later")
_QUESTION: Final = "why did we decide to use a lease for the cursor instead of an archive?"
_TOOLS: Final[Sequence[tuple[str, dict[str, str], int]]] = (
    ("list_threads", {}, 50),
    ("list_threads", {"query": "lease"}, 50),
    ("current_project", {}, 50),
    ("thread_outline", {"thread": ""}, 50),
    ("read_turns", {"thread": ""}, 50),
    ("usage_summary", {}, 50),
    ("usage_summary", {"by": "thread", "since": "all"}, 50),
    ("find_file_changes", {"path": "notes"}, 50),
    ("search_threads", {"query": "lease cursor"}, 100),
    ("search_threads", {"query": _QUESTION}, 100),
)
"""Name, arguments and goal in milliseconds; an empty thread stands for the first one."""
_INITIALIZE: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"},
    },
}


@contextmanager
def _process(home: Path, index: Path, *words: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """A server, until a signal ends it: what it reads and what it writes."""
    process = subprocess.Popen(
        command(home, index, *words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    if process.stdin is None or process.stdout is None:
        raise Failed("no pipes")
    try:
        yield process.stdin, process.stdout
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def first_page(home: Path, index: Path) -> tuple[float, list[float], list[float]]:
    """From the command to its first page; then how long pages of threads and of the list take."""
    began = time.perf_counter()
    with _process(home, index, "web", "--no-open", "--port", "0") as (_, told):
        address = told.readline().decode().strip()
        with httpx.Client(follow_redirects=True, base_url=address.partition("/?")[0]) as client:
            page = _page(client, address)
            first = time.perf_counter() - began
            threads = dict.fromkeys(_THREAD.findall(page.text))
            if not threads:
                raise Failed("the first page has no thread")
            turns = [_page(client, thread).elapsed.total_seconds() for thread in threads]
            lists = [_page(client, "/", q=query).elapsed.total_seconds() for query in _QUERIES * 3]
    return first, turns, lists


def _page(client: httpx.Client, address: str, **query: str) -> httpx.Response:
    return client.get(address, params=query or None).raise_for_status()


def initialized(home: Path, index: Path) -> float:
    """From the command to the answer of the handshake."""
    began = time.perf_counter()
    with _process(home, index, "mcp") as (asked, told):
        asked.write(json.dumps(_INITIALIZE).encode() + b"\n")
        asked.flush()
        if b'"result"' not in told.readline():
            raise Failed("the handshake is not answered")
        return time.perf_counter() - began


async def tools(home: Path, index: Path, rounds: int) -> list[Row]:
    """How long each tool takes, with the client."""
    words = command(home, index, "mcp")
    server = StdioServerParameters(command=words[0], args=words[1:], env=environment())
    rows = []
    async with Client(stdio_client(server)) as client:
        await asyncio.sleep(2)  # it catches up with the files in the background
        listed = await _called(client, "list_threads", {})
        first = listed["threads"][0]["id"]
        for name, arguments, goal in _TOOLS:
            given = arguments | ({"thread": first} if "thread" in arguments else {})
            passed = []
            for _ in range(rounds):
                began = time.perf_counter()
                await _called(client, name, given)
                passed.append(time.perf_counter() - began)
            shown = ", ".join(f"{key}={value}" for key, value in arguments.items() if value)
            rows.append(_row(f"`{name}` {shown}".strip(), goal, passed))
    return rows


async def _called(client: Client, name: str, arguments: dict[str, Any]) -> Any:
    result = await client.call_tool(name, arguments)
    if result.is_error:
        raise Failed(f"{name}: {result.content}")
    return result.structured_content


def _row(work: str, goal_ms: int, passed: list[float]) -> Row:
    return Row(work, f"≤ {goal_ms} ms", least_and_median(passed), min(passed) * 1000 <= goal_ms)


def measure(home: Path, index: Path, rounds: int) -> list[Row]:
    """All of it, on an index that is in step."""
    starts = [first_page(home, index) for _ in range(rounds)]
    rows = [
        _row("`web`, the first page", 500, [first for first, _, _ in starts]),
        _row("a thread's page", 150, [each for _, turns, _ in starts for each in turns]),
        _row("the list", 100, [each for _, _, lists in starts for each in lists]),
        _row("`mcp`, the handshake", 400, [initialized(home, index) for _ in range(rounds)]),
    ]
    return rows + asyncio.run(tools(home, index, rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--busy", type=int, default=0, help="busy loops beside it")
    args = parser.parse_args()
    compile_program()
    home = args.home.resolve()
    with tempfile.TemporaryDirectory() as made, busy(args.busy):
        index = Path(made) / "index.sqlite3"
        run(command(home, index, "search", "lease"), statuses=(0, 1))
        before = machine(args.busy)
        rows = measure(home, index, args.rounds)
    print(f"{before}\n{machine(args.busy)}\n")
    shown = [
        [row.work, row.goal, row.measured if row.met else f"**{row.measured}**"] for row in rows
    ]
    print(table(["work", "goal", of_home(home)], shown))


if __name__ == "__main__":
    main()
