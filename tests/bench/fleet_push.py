"""What pushing into a filled fleet costs, by the program's own push.

    python -m tests.bench.fleet_push ADMIN HOME INDEX [--part NAME ...] [--machines 200]

ADMIN is the address of a superuser who reaches the database by TCP, with a password from libpq's
places; HOME a home and INDEX its complete index, of which copies are pushed. The parts: ``fill``
(one machine pushes all of it, and then once more with nothing new; beside it COPY alone, of the
same rows), ``many`` (many machines push at once, while a reader turns pages). The machines that
it adds are removed at the end, with what they have pushed. Prints Markdown.
"""

import argparse
import asyncio
import multiprocessing
import os
import secrets
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from state.fleet.push.push import PushOptions, push
from state.fleet.reading.index import open_fleet
from state.fleet.server.admin.logins import MACHINE, READER, let_in, revoke
from state.query.model import Query
from state.thread_index import open_index
from tests.bench.measure import machine, table

_PREFIX: Final = "bench-"
_PAGE: Final = Query(sort_key="recency_at", limit=50)
_READ_S: Final = 10
Connection = psycopg.Connection[Any]


@contextmanager
def logins(admin: str, count: int) -> Iterator[list[str]]:
    """New machines and a reader, who is the last one: their addresses."""
    run = secrets.token_hex(3)
    names = [f"{_PREFIX}{run}-{number}" for number in range(count)]
    addresses = []
    for name in (*names, f"{_PREFIX}{run}-reader"):
        kind = MACHINE if name in names else READER
        login = let_in(admin, kind, name)
        addresses.append(make_conninfo(admin, user=login.role, password=login.password))
    try:
        yield addresses
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(
                "DELETE FROM threadkeep.threads WHERE machine_id IN"
                " (SELECT machine_id FROM threadkeep.machines WHERE starts_with(name, %s))",
                [f"{_PREFIX}{run}"],
            )
        for name in names:
            revoke(admin, MACHINE, name, "default")
        revoke(admin, READER, f"{_PREFIX}{run}-reader", "default")


def pushed(home: Path, index: Path, address: str) -> int:
    """Push what has changed: how many threads."""

    async def work() -> int:
        async with open_index(home, index) as opened:
            return (await push(opened, address, PushOptions())).threads

    return asyncio.run(work())


def fill(admin: str, home: Path, index: Path, folder: Path) -> Iterator[Sequence[str]]:
    """Rows of a table: a push of everything, one of nothing, and COPY alone."""
    copy = folder / "index.sqlite3"
    shutil.copyfile(index, copy)
    with logins(admin, 1) as (address, _), psycopg.connect(admin, autocommit=True) as watching:
        there, began, used = _server_cpu(watching), time.perf_counter(), time.process_time()
        count = pushed(home, copy, address)
        yield _row("push", count, began, used, watching, there)
        watching.execute("SELECT pg_stat_statements_reset()")
        began, used = time.perf_counter(), time.process_time()
        pushed(home, copy, address)
        role = conninfo_to_dict(address)["user"]
        (queries,) = watching.execute(_QUERIES, [role]).fetchone() or (0,)
        passed = (time.perf_counter() - began) * 1000
        cpu = (time.process_time() - used) * 1000
        yield ["push, nothing new", f"{queries} queries", f"{passed:.0f} ms", f"{cpu:.0f} ms", ""]
        yield from copied(watching, str(role))


def copied(admin: Connection, role: str) -> Iterator[Sequence[str]]:
    """The same rows by COPY alone, into a table without indexes and into one with all of them."""
    columns = [
        name
        for (name,) in admin.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'threadkeep.threads'::regclass"
            " AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        )
    ]
    listed = ", ".join(columns)
    of = f"SELECT {listed} FROM threadkeep.threads WHERE machine_id = m.machine_id"
    rows = admin.execute(
        f"SELECT t.* FROM threadkeep.machines m CROSS JOIN LATERAL ({of}) t WHERE role_name = %s",
        [role],
    ).fetchall()
    with admin.transaction(force_rollback=True):
        plain = "CREATE TEMPORARY TABLE copied (LIKE threadkeep.threads) ON COMMIT DROP"
        admin.execute(plain)
        yield _copy(admin, "COPY alone, no index", "copied", columns, rows)
        admin.execute(
            "DELETE FROM threadkeep.threads WHERE machine_id ="
            " (SELECT machine_id FROM threadkeep.machines WHERE role_name = %s)",
            [role],
        )
        yield _copy(admin, "COPY into the table", "threadkeep.threads", columns, rows)


def _copy(
    admin: Connection, name: str, into: str, columns: list[str], rows: list[Any]
) -> Sequence[str]:
    there, began, used = _server_cpu(admin), time.perf_counter(), time.process_time()
    with admin.cursor().copy(f"COPY {into} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    return _row(name, len(rows), began, used, admin, there)


def _row(
    name: str, count: int, began: float, used: float, admin: Connection, there: float
) -> Sequence[str]:
    passed, cpu = time.perf_counter() - began, time.process_time() - used
    there = _server_cpu(admin) - there
    return [
        name,
        f"{count:,} threads",
        f"{count / passed:,.0f}/s",
        f"{cpu / count * 1e6:.0f} us",
        f"{there / count * 1e6:.0f} us",
    ]


def _server_cpu(admin: Connection) -> float:
    """CPU seconds of all of PostgreSQL's processes, also those that have ended."""
    time.sleep(0.5)  # until the server has seen that they have
    (pid,) = admin.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    ticks = [int(each) for each in Path(f"/proc/{parent}/stat").read_text().split()[13:17]]
    total = sum(ticks[2:]) / os.sysconf("SC_CLK_TCK")
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                running = stat.with_name("schedstat").read_text().split()[0]
                total += int(running) / 1e9
        except OSError:
            continue
    return total


def many(admin: str, home: Path, index: Path, folder: Path, count: int) -> Iterator[Sequence[str]]:
    """Rows of a table: a reader's pages, alone and while many machines push."""
    indexes = [_part(index, folder / f"{number}.sqlite3", number, count) for number in range(count)]
    with logins(admin, count) as (*addresses, reader):
        yield ["nobody pushes", "", *asyncio.run(_reading(folder, reader, _READ_S, None))]
        begin = multiprocessing.get_context("spawn")
        stop, done = begin.Event(), begin.Queue()
        work = [(home, each, to) for each, to in zip(indexes, addresses, strict=True)]
        processes = [
            begin.Process(target=_pushing, args=(work[number::2], done)) for number in range(2)
        ]
        began = time.perf_counter()
        for process in processes:
            process.start()
        waiting = begin.Process(target=_joined, args=(len(processes), done, stop))
        waiting.start()
        cells = asyncio.run(_reading(folder, reader, 300, stop))
        passed = time.perf_counter() - began
        for process in (*processes, waiting):
            process.join()
        yield [f"{count} machines push", f"{passed:.0f} s", *cells]
        with psycopg.connect(admin) as connection:
            (threads,) = connection.execute(
                "SELECT count(*) FROM threadkeep.threads t JOIN threadkeep.machines m"
                " USING (machine_id) WHERE starts_with(m.name, %s)",
                [_PREFIX],
            ).fetchone() or (0,)
        yield ["threads that they pushed", f"{threads:,}", "", "", ""]


def _part(index: Path, part: Path, number: int, count: int) -> Path:
    """A copy of an index with a share of its threads."""
    shutil.copyfile(index, part)
    with closing(sqlite3.connect(part, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = on")
        connection.execute("DELETE FROM threads WHERE row_id % ? <> ?", (count, number))
        connection.execute("VACUUM")
    return part


def _pushing(work: list[tuple[Path, Path, str]], done: Any) -> None:
    async def one(home: Path, index: Path, address: str) -> None:
        async with open_index(home, index) as opened:
            await push(opened, address, PushOptions())

    async def everybody() -> list[BaseException | None]:
        return await asyncio.gather(*(one(*each) for each in work), return_exceptions=True)

    try:
        failed = [each for each in asyncio.run(everybody()) if each is not None]
        if failed:
            print(f"{len(failed)} pushes failed: {failed[0]!r}", flush=True)
    finally:
        done.put(None)


def _joined(count: int, done: Any, stop: Any) -> None:
    for _ in range(count):
        done.get()
    stop.set()


async def _reading(folder: Path, reader: str, most_s: float, stop: Any) -> list[str]:
    """How long pages take until ``stop``."""
    taken = []
    async with open_fleet(folder, folder / "none.sqlite3", reader) as index:
        await index.page(_PAGE)
        ends = time.perf_counter() + most_s
        while time.perf_counter() < ends and not (stop and stop.is_set()):
            began = time.perf_counter()
            await index.page(_PAGE)
            taken.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.02)
    taken.sort()
    late = taken[int(len(taken) * 0.95)]
    return [f"{statistics.median(taken):.1f} ms", f"{late:.1f} ms", f"{taken[-1]:.0f} ms"]


_QUERIES: Final = """
    SELECT coalesce(sum(calls), 0) FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
    WHERE r.rolname = %s AND toplevel
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("admin")
    parser.add_argument("home", type=Path)
    parser.add_argument("index", type=Path)
    parser.add_argument("--part", nargs="+", default=["fill", "many"])
    parser.add_argument("--machines", type=int, default=200)
    args = parser.parse_args()
    print(machine(0), "\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "fill" in args.part:
            rows = [*fill(args.admin, args.home, args.index, folder)]
            head = ["work", "", "rate", "CPU here", "CPU of PostgreSQL"]
            print(table(head, rows), "\n", flush=True)
        if "many" in args.part:
            rows = [*many(args.admin, args.home, args.index, folder, args.machines)]
            print(table(["a page while", "", "median", "95 %", "slowest"], rows))


if __name__ == "__main__":
    main()
