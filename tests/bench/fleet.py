"""What reading and pushing cost in a fleet of a million threads.

    python -m tests.bench.fleet ADMIN READER [--part NAME ...] [--rounds 30]

ADMIN is the address of a superuser, READER that of a reader, in a database that
:mod:`tests.bench.fleet_rows` has filled. The parts: ``pages`` (by each filter and order, at the
beginning, in the middle and at the end), ``security`` (the same pages with and without row
security, in turn), ``search``, ``sizes``. :mod:`tests.bench.fleet_push` measures pushes. Prints
Markdown: CPU milliseconds of this process and of PostgreSQL's, together.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg

from rollout.search.terms import terms_of
from state.fleet.reading.fulltext.search import search
from state.fleet.reading.index import FleetIndex, open_fleet
from state.fulltext.search import Search
from state.query.cursor import Cursor
from state.query.model import Query
from tests.bench.fleet_rows import vocabulary
from tests.bench.measure import machine, table

_PAGE: Final = 50
_HITS: Final = 25
_GOAL_MS: Final = 10
_PATIENCE_MS: Final = 2_000
_DEPTHS: Final = {"start": 0.0, "middle": 0.5, "end": 0.999}
_SECURED: Final = (
    *("threads", "user_data", "machines", "thread_usage", "thread_limits", "folders"),
)
Connection = psycopg.Connection[Any]


def filters(admin: Connection) -> dict[str, dict[str, Any]]:
    """Filters by name, of values that are there: common, rare and absent ones."""
    tenant = "(SELECT tenant_id FROM threadkeep.tenants WHERE name = 'default')"
    rows = admin.execute(
        "SELECT cwd, git_branch, (SELECT name FROM threadkeep.machines m WHERE m.machine_id ="
        " t.machine_id), (SELECT user_name FROM threadkeep.machines m WHERE m.machine_id ="
        f" t.machine_id) FROM threadkeep.threads t WHERE tenant_id = {tenant} AND newest AND"
        " git_branch LIKE 'feature/%' ORDER BY row_id DESC OFFSET 1000 LIMIT 1"
    ).fetchone()
    assert rows is not None
    cwd, branch, name, user = rows
    return {
        "none": {},
        "all sources": {"all_sources": True},
        "a source": {"source_kinds": ("exec",)},
        "a folder": {"cwds": (cwd,)},
        "folders below one": {"folders": (str(Path(cwd).parent),)},
        "a project": {"projects": (Path(cwd).name,)},
        "a common model": {"models": ("gpt-5-codex",)},
        "models by pattern": {"models": ("gpt-5.1*",)},
        "a rare branch": {"branches": (branch,)},
        "the main branch": {"branches": ("main",)},
        "a common tag": {"tags": ("bug",)},
        "a rare tag": {"tags": ("rare",)},
        "pinned": {"pinned": True},
        "a status": {"statuses": ("done",)},
        "a provider": {"providers": ("ollama",)},
        "many tokens": {"min_tokens": 1_000_000},
        "a large file": {"min_size": 2_900_000},
        "a common word in titles": {"search": "the"},
        "a rare word in titles": {"search": "#77777"},
        "a word no title has": {"search": "7z7q7x"},
        "a machine": {"machine": name},
        "a user": {"users": (user,)},
        "a model and a tag": {"models": ("gpt-5-codex",), "tags": ("bug",)},
        "a user and a model": {"users": (user,), "models": ("gpt-5-codex",)},
        "archived": {"archived": True},
        "a month": {"since_ms": 1_790_000_000_000, "until_ms": 1_792_600_000_000},
    }


def places(admin: Connection) -> dict[str, dict[str, int]]:
    """For each order the time at some depths of all threads."""
    found = {}
    for key in ("recency_at", "created_at", "updated_at"):
        row = admin.execute(
            "SELECT percentile_disc(%s::float8[]) WITHIN GROUP"
            f" (ORDER BY {key}_ms DESC) FROM threadkeep.threads WHERE newest AND random() < 0.05",
            [[*_DEPTHS.values()]],
        ).fetchone()
        assert row is not None
        found[key] = dict(zip(_DEPTHS, row[0], strict=True))
    return found


async def pages(
    index: FleetIndex, admin: Connection, deep: dict[str, dict[str, int]], rounds: int
) -> AsyncIterator[Sequence[str]]:
    """Rows of a table: a filter, and what a page costs in each order at each depth."""
    for name, fields in filters(admin).items():
        row, counts = [name], []
        for key in deep:
            cells = []
            for depth, moment in deep[key].items():
                query = Query(sort_key=key, limit=_PAGE, **fields)
                if depth != "start":
                    cursor = Cursor(key, True, query.filters, moment, "f").encode()
                    query = Query(sort_key=key, limit=_PAGE, cursor=cursor, **fields)
                taken = await _times(index, admin, query, rounds)
                shown = f"{taken.cpu:.1f}"
                cells.append(shown if taken.cpu < _GOAL_MS else f"**{shown}**")
                counts.append(taken.threads)
            row.append(" / ".join(cells))
        yield [*row, " ".join(str(count) for count in counts[:3])]


class _Taken(NamedTuple):
    """What a page costs, in ms."""

    median: float
    late: float
    """The 95th percentile."""
    cpu: float
    """Of this process and of PostgreSQL's, together."""
    threads: int


async def _times(index: FleetIndex, admin: Connection, query: Query, rounds: int) -> _Taken:
    page = await index.page(query)  # which fills caches
    taken: list[float] = []
    used = -_cpu_ms(admin)
    while len(taken) < rounds and sum(taken) < _PATIENCE_MS:
        began = time.perf_counter()
        await index.page(query)
        taken.append((time.perf_counter() - began) * 1000)
    used += _cpu_ms(admin)
    taken.sort()
    late = taken[max(int(len(taken) * 0.95) - 1, 0)]
    return _Taken(statistics.median(taken), late, used / len(taken), len(page.rows))


def _cpu_ms(admin: Connection) -> float:
    """What this process and those of PostgreSQL that serve it have used."""
    ours = admin.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'threadkeep'"
        " AND datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchall()
    served = sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for (pid,) in ours)
    return time.process_time() * 1000 + served / 1e6


@contextmanager
def without_security(admin: Connection) -> Iterator[None]:
    """Row security turned off, for whoever reads."""
    try:
        for name in _SECURED:
            admin.execute(f"ALTER TABLE threadkeep.{name} DISABLE ROW LEVEL SECURITY")
        yield
    finally:
        for name in _SECURED:
            admin.execute(f"ALTER TABLE threadkeep.{name} ENABLE ROW LEVEL SECURITY")


async def security(index: FleetIndex, admin: Connection, rounds: int) -> Iterator[Sequence[str]]:
    """Rows of a table: a page with and without row security, in turn."""
    chosen = ("none", "a folder", "a common model", "a rare branch", "a common tag", "a user")
    rows = []
    for name in chosen:
        query = Query(sort_key="recency_at", limit=_PAGE, **filters(admin)[name])
        on: list[float] = []
        off: list[float] = []
        for _ in range(5):
            on.append((await _times(index, admin, query, rounds)).cpu)
            with without_security(admin):
                off.append((await _times(index, admin, query, rounds)).cpu)
        ratio = min(on) / min(off)
        rows.append([name, f"{min(on):.2f} ms", f"{min(off):.2f} ms", f"{ratio:.2f}×"])
    return iter(rows)


def wanted(admin: Connection) -> dict[str, Search]:
    """What to search for, by name: common and rare words of the newest texts, and absent ones."""
    row = admin.execute(
        "SELECT substring(text FROM 'commit (\\w+)'), substring(text FROM 'ticket (\\w+)'), text,"
        " cwd FROM threadkeep.documents JOIN threadkeep.threads USING (tenant_id, row_id)"
        " WHERE tenant_id = (SELECT tenant_id FROM threadkeep.tenants WHERE name = 'default')"
        " AND month = (SELECT max(month) FROM threadkeep.documents) AND newest LIMIT 1"
    ).fetchone()
    assert row is not None
    commit, ticket, text, cwd = row
    few = [word for word in vocabulary()[0][4_000:] if len(word) == len(ticket)]
    of_ten, of_hundred = few[0], few[len(few) // 4]
    filtered = {name: filters(admin)[name] for name in ("a machine", "a user", "a month")}
    words = {
        "a word of one thread": commit,
        "a word of some threads": ticket,
        "a word of no thread": "7z7q7x7v",
        "a common word": "thread",
        "two common words": "thread index",
        "three common words": "thread index file",
        "a common and a rare word": f"thread {ticket}",
        "a less common word": of_ten,
        "a less common and a rare word": f"{of_ten} {ticket}",
        "two less common words": f"{of_ten} {of_hundred}",
        "a phrase of five words": '"' + " ".join(text.split()[12:17]) + '"',
        "a phrase of no thread": '"index thread index thread"',
        "a beginning": f"{commit[:6]}*",
        "two letters": "qz",
        "two letters that many have": "is",
        "two Chinese letters": "\u7d22\u5f15",
        "letters and signs": "c++ ->",
    }
    found = {name: Query() for name in words}
    for name, fields in {**filtered, "a folder": {"cwds": (cwd,)}}.items():
        for which in ("a common word", "a word of some threads"):
            words[f"{which}, {name}"] = words[which]
            found[f"{which}, {name}"] = Query(**fields)
    return {
        name: Search(
            tuple(terms_of(words[name])), replace(query, sort_key="recency_at", limit=_HITS)
        )
        for name, query in found.items()
    }


async def page_behind(index: FleetIndex, search_: Search, pages: int) -> Search:
    """The search for the page behind so many."""
    for _ in range(pages):
        cursor = (await search(index, search_)).next_cursor
        search_ = replace(search_, among=replace(search_.among, cursor=cursor))
    return search_


async def searches(index: FleetIndex, admin: Connection, rounds: int) -> AsyncIterator[list[str]]:
    """Rows of a table: words, and what a page of a search costs."""
    every = wanted(admin)
    for number in (1, 9):
        behind = await page_behind(index, every["a common word"], number)
        every[f"a common word, page {number + 1}"] = behind
    every["a common word, by matches"] = replace(every["a common word"], ranked=True)
    for name, one in every.items():
        found = await search(index, one)
        taken: list[float] = []
        used = -_cpu_ms(admin)
        while len(taken) < rounds and sum(taken) < 4 * _PATIENCE_MS:
            began = time.perf_counter()
            found = await search(index, one)
            taken.append((time.perf_counter() - began) * 1000)
        cpu = (used + _cpu_ms(admin)) / len(taken)
        times = f"{statistics.median(taken):.0f} ms", f"{min(taken):.0f} ms"
        stopped = " (stopped)" if found.stopped else ""
        yield [name, f"{cpu:.0f} ms", *times, f"{len(found.hits)}{stopped}"]


def sizes(admin: Connection) -> Iterator[Sequence[str]]:
    """Rows of a table: what each table takes, for each thread."""
    threads = (admin.execute("SELECT count(*) FROM threadkeep.threads").fetchone() or (1,))[0]
    for name, *of in admin.execute(_SIZES).fetchall():
        kept, indexes = map(int, of)
        yield [
            name,
            *(f"{size / 1e6:,.0f} MB" for size in (kept, indexes)),
            f"{(kept + indexes) / threads:,.0f} B",
        ]


_SIZES: Final = """
    SELECT c.relname, sum(pg_table_size(leaf.relid)), sum(pg_indexes_size(leaf.relid))
    FROM pg_class c CROSS JOIN LATERAL pg_partition_tree(c.oid) leaf
    WHERE c.relnamespace = 'threadkeep'::regnamespace AND c.relkind = 'p' AND leaf.isleaf
    GROUP BY 1 ORDER BY 2 DESC
"""


async def measure(args: argparse.Namespace, admin: Connection, folder: Path) -> None:
    async with open_fleet(folder, folder / "index.sqlite3", args.reader) as index:
        if "pages" in args.part:
            deep = places(admin)
            head = ["filter", *(f"{key}, ms" for key in deep), "threads on the page"]
            print(table(head, []))
            async for row in pages(index, admin, deep, args.rounds):
                print(f"| {' | '.join(row)} |", flush=True)
            print()
        if "security" in args.part:
            rows = [*await security(index, admin, args.rounds)]
            print(table(["a page of", "with", "without", "ratio"], rows), "\n")
        if "search" in args.part:
            print(table(["search", "CPU", "median", "least", "threads on the page"], []))
            async for row in searches(index, admin, args.rounds):
                print(f"| {' | '.join(row)} |", flush=True)
            print()
    if "sizes" in args.part:
        print(table(["table", "rows", "indexes", "of a thread"], [*sizes(admin)]), "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("admin")
    parser.add_argument("reader")
    parser.add_argument("--part", nargs="+", default=["pages", "security", "search", "sizes"])
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    print(machine(0), "\n")
    with (
        psycopg.connect(args.admin, autocommit=True) as admin,
        tempfile.TemporaryDirectory() as folder,
    ):
        asyncio.run(measure(args, admin, Path(folder)))


if __name__ == "__main__":
    main()
