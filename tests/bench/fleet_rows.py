"""A filled fleet for benchmarks, generated in PostgreSQL itself.

    python -m tests.bench.fleet_rows postgresql://…  --threads 1000000 --machines 2000 --tenants 20

The database has been made by ``threadkeep fleet init``; the login is a superuser, who alone may
turn the triggers off that would look at each row. Words are those of this repository, as often as
they are in it. 3 % of the threads are on two machines. A document has four paragraphs: of 280 words
each it is as long as documents get. The same arguments give the same rows.
"""

import argparse
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

import psycopg
from psycopg import sql

from tests.bench.measure import PROJECT

_SPAN_MS: Final = 400 * 86_400_000
_END_MS: Final = 1_796_000_000_000
"""2026-11-30, when the newest threads are made."""
_LEVEL: Final = "text"
_WORDS: Final = 38
_TITLES, _PARAGRAPHS, _PROJECTS, _BRANCHES = 200_000, 100_000, 400, 3_000
_SANDBOX: Final = (
    '{"type":"managed","file_system":{"type":"restricted","entries":[{"path":{"type":"special",'
    '"value":{"kind":"root"}},"access":"read"}]},"network":"restricted"}'
)

Connection = psycopg.Connection[Any]


def fill(
    connection: Connection,
    *,
    threads: int,
    machines: int,
    tenants: int,
    parts: Sequence[str],
    words: int = _WORDS,
    say: Any = print,
) -> None:
    """Fill the empty tables of a fleet: ``rows``, then ``documents``, or one of both; ``words`` are
    in a paragraph."""
    began = time.monotonic()
    steps: dict[str, Any] = {"words": lambda: _pools(connection, words * ("documents" in parts))}
    tables = []
    if "rows" in parts:
        tables += ["threads", "user_data", "thread_usage", "thread_limits", "folders"]
        steps["machines"] = lambda: _machines(connection, machines, tenants)
        steps["threads"] = lambda: _threads(connection, threads, machines, tenants)
        steps["usage and marks"] = lambda: _dependents(connection)
    if "documents" in parts:
        tables += ["documents"]
        steps["documents"] = lambda: _documents(connection)
    connection.execute("SET session_replication_role = replica")
    connection.execute("SET work_mem = '256MB'; SET maintenance_work_mem = '1GB'")
    connection.execute("SELECT setseed(0.7)")
    indexes = _drop_indexes(connection, tables)
    for name, step in steps.items():
        step()
        say(f"{time.monotonic() - began:6.0f} s  {name}", flush=True)
    for index in indexes:
        connection.execute(index)
        say(f"{time.monotonic() - began:6.0f} s  {index[:90]}", flush=True)
    connection.execute("DROP SCHEMA fleet_bench CASCADE")
    connection.execute("SELECT threadkeep.without_statistics()")
    connection.execute("RESET ALL")
    for table in tables:
        connection.execute(f"VACUUM (ANALYZE) threadkeep.{table}")
    say(f"{time.monotonic() - began:6.0f} s  vacuumed", flush=True)


def _drop_indexes(connection: Connection, tables: Sequence[str]) -> list[str]:
    """Drop what is no constraint, and give the statements that create it again: a third of the
    time."""
    found = connection.execute(
        "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i"
        " JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'threadkeep' AND c.relname = ANY(%s) AND NOT EXISTS"
        " (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid)",
        [list(tables)],
    ).fetchall()
    for name, _ in found:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.SQL(name)))
    # On the partitions, too, which "ON ONLY" would leave out.
    return [statement.replace(" ON ONLY ", " ON ") for _, statement in found]


def vocabulary() -> tuple[list[str], list[float]]:
    """The words of this repository, the most frequent ones first, with the sums of their counts;
    then as many that are rarer than all of them, as in a real vocabulary."""
    counts: Counter[str] = Counter()
    for folder in ("docs", "rollout", "state", "cli", "tests"):
        for path in sorted((PROJECT / folder).rglob("*")):
            if path.suffix in (".md", ".py"):
                counts.update(re.findall(r"[a-z]{2,}", path.read_text(errors="replace").lower()))
    chance = random.Random(7)
    known = [word for word, _ in counts.most_common()]
    parts = [word[:4] for word in known[:2000]]
    rare = {"".join(chance.choices(parts, k=2)) for _ in range(40_000)} - set(known)
    weights = [*(counts[word] for word in known), *([0.5] * len(rare))]
    return [*known, *sorted(rare)], list(accumulate(weights))


def _pools(connection: Connection, paragraph: int) -> None:
    """What the rows are made of: joined by number, as SQL draws no words by itself in good time."""
    words, sums = vocabulary()
    chance = random.Random(7)

    def drawn(count: int) -> str:
        return " ".join(chance.choices(words, cum_weights=sums, k=count))

    def some(number: int, mean: float) -> Iterator[str]:
        return (drawn(max(2, int(chance.lognormvariate(0, 0.7) * mean))) for _ in range(number))

    def names(number: int, join: str) -> list[str]:
        return [join.join(chance.sample(words[60:4000], 2)) for _ in range(number)]

    connection.execute("CREATE SCHEMA fleet_bench")
    pools: dict[str, Any] = {
        "titles": some(_TITLES, 7),
        "projects": names(_PROJECTS, "-"),
        "branches": [f"feature/{name}" for name in names(_BRANCHES, "-")],
        "paragraphs": some(_PARAGRAPHS if paragraph else 1, paragraph),
    }
    for name, values in pools.items():
        table = sql.Identifier("fleet_bench", name)
        connection.execute(
            sql.SQL("CREATE UNLOGGED TABLE {} (n int PRIMARY KEY, text text)").format(table)
        )
        with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
            for number, value in enumerate(values):
                copy.write_row((number, value))
    connection.execute("ANALYZE fleet_bench.titles, fleet_bench.paragraphs")


def _machines(connection: Connection, machines: int, tenants: int) -> None:
    connection.execute(_TENANTS, {"tenants": tenants})
    connection.execute(
        "CREATE UNLOGGED TABLE fleet_bench.machines"
        " (n int PRIMARY KEY, machine_id int UNIQUE, tenant_id int, user_name text)"
    )
    connection.execute(_MACHINES, {"machines": machines, "tenants": tenants, "level": _LEVEL})


def _threads(connection: Connection, threads: int, machines: int, tenants: int) -> None:
    values = {
        "threads": threads,
        "machines": machines,
        "span": _SPAN_MS,
        "end": _END_MS,
        "titles": _TITLES,
        "sandbox": _SANDBOX,
        "projects": _PROJECTS,
        "branches": _BRANCHES,
        "level": _LEVEL,
    }
    columns, expressions = ", ".join(_COLUMNS), ", ".join(_COLUMNS.values())
    connection.execute(
        f"INSERT INTO threadkeep.threads ({columns}) SELECT {expressions} FROM ({_DRAWN}) x", values
    )
    # The second copies, on another machine of the tenant.
    second = {
        **{name: f"t.{name}" for name in _COLUMNS},
        "machine_id": "o.machine_id",
        "newest": "false",
        "updated_at_ms": "t.updated_at_ms - 60000",
    }
    connection.execute(
        f"INSERT INTO threadkeep.threads ({', '.join(second)}) SELECT {', '.join(second.values())}"
        " FROM threadkeep.threads t JOIN fleet_bench.machines m USING (machine_id)"
        " JOIN fleet_bench.machines o ON o.n = (m.n + %(tenants)s) %% %(machines)s"
        " WHERE t.row_id %% 33 = 0 AND o.machine_id <> m.machine_id",
        {"machines": machines, "tenants": tenants},
    )


def _dependents(connection: Connection) -> None:
    for statement in (_USAGE, _LIMITS, _MARKS, _FOLDERS):
        connection.execute(statement)


def _documents(connection: Connection) -> None:
    counts = {"paragraphs": _PARAGRAPHS}
    connection.execute(_DOCUMENTS, {**counts, "position": 0, "every": 1})
    connection.execute(_DOCUMENTS, {**counts, "position": 1, "every": 10})


_TENANTS: Final = """
INSERT INTO threadkeep.tenants (name) SELECT CASE n WHEN 1 THEN 'default' ELSE 'tenant-' || n END
FROM generate_series(1, %(tenants)s) n ON CONFLICT DO NOTHING
"""
_MACHINES: Final = """
WITH tenants AS (SELECT tenant_id, row_number() OVER (ORDER BY tenant_id) - 1 AS n
    FROM threadkeep.tenants),
made AS (
    INSERT INTO threadkeep.machines (tenant_id, name, user_name, role_name, epoch, level, version,
        pushed_at)
    SELECT tenant_id, 'machine-' || g, 'user-' || g / 2, 'bench_machine_' || g, 1,
        %(level)s::text, '1', now() - random() * interval '2 days'
    FROM generate_series(0, %(machines)s - 1) g JOIN tenants ON n = g %% %(tenants)s
    RETURNING machine_id, tenant_id, name, user_name
)
INSERT INTO fleet_bench.machines
SELECT substr(name, 9)::int, machine_id, tenant_id, user_name FROM made
"""
_DRAWN: Final = """
SELECT d.*, m.machine_id, m.tenant_id, m.user_name, title.text AS title, project.text AS project,
    branch.text AS branch, d.made + (d.r5 * 3600000 * 30)::bigint AS used,
    CASE WHEN r1 < 0.45 THEN 'cli' WHEN r1 < 0.8 THEN 'vscode' WHEN r1 < 0.94 THEN 'exec'
        ELSE 'subAgentThreadSpawn' END AS kind,
    CASE WHEN r2 < 0.92 THEN 'openai' WHEN r2 < 0.97 THEN 'azure' ELSE 'ollama' END AS provider,
    left(lpad(to_hex(d.made), 12, '0'), 8) || '-' || right(lpad(to_hex(d.made), 12, '0'), 4)
        || '-7' || substr(h, 1, 3) || '-8' || substr(h, 4, 3) || '-' || substr(h, 7, 12) AS id
FROM (
    SELECT g, md5(g::text) AS h, random() AS r1, random() AS r2, random() AS r3, random() AS r4,
        random() AS r5, random() AS r6,
        floor(%(machines)s * power(('x' || substr(md5((g / 5)::text), 1, 7))::bit(28)::int
            / 268435456.0, 1.6))::int AS m,
        floor(random() * %(titles)s)::int AS title_n,
        floor(exp(random() * ln(%(projects)s)))::int - 1 AS project_n,
        floor(exp(random() * ln(%(branches)s)))::int - 1 AS branch_n,
        %(end)s::bigint - (%(span)s * power(1 - g / %(threads)s::float, 1.3))::bigint AS made
    FROM generate_series(1, %(threads)s) g
) d
JOIN fleet_bench.machines m ON m.n = d.m
JOIN fleet_bench.titles title ON title.n = d.title_n
JOIN fleet_bench.projects project ON project.n = d.project_n
JOIN fleet_bench.branches branch ON branch.n = d.branch_n
"""
_TITLE: Final = "title || CASE WHEN r5 < 0.3 THEN ' #' || g ELSE '' END"
_CWD: Final = "'/home/' || user_name || '/src/' || project"
_COLUMNS: Final[dict[str, str]] = {
    "tenant_id": "tenant_id",
    "machine_id": "machine_id",
    "id": "id",
    "rollout_path": "'sessions/' || to_char(to_timestamp(made / 1000),"
    """ 'YYYY/MM/DD/"rollout-"YYYY-MM-DD"T"HH24-MI-SS-') || id || '.jsonl'""",
    "created_at_ms": "made",
    "updated_at_ms": "used + (r6 * 3600000)::bigint",
    "recency_at_ms": "used",
    "source": """CASE kind WHEN 'subAgentThreadSpawn'
        THEN '{"subagent":{"thread_spawn":{"depth":1}}}' ELSE kind END""",
    "source_kind": "kind",
    "originator": "'codex_' || kind",
    "model_provider": "provider",
    "model": "(ARRAY['gpt-5-codex', 'gpt-5.1-codex', 'gpt-5', 'gpt-5.1', 'gpt-5.1-codex-mini',"
    " 'o3'])[ceil(power(r3, 2) * 6)]",
    "reasoning_effort": "(ARRAY['medium', 'high', 'low', NULL])[ceil(r4 * 4)]",
    "cwd": _CWD,
    "cwd_key": _CWD,
    "title": _TITLE,
    "name": "CASE WHEN r4 < 0.04 THEN initcap(branch) END",
    "preview": f"CASE WHEN r6 < 0.01 THEN '' ELSE {_TITLE} END",
    "fallback_preview": "''",
    "first_user_message": "title || ' ' || title",
    "search_text": f"lower({_TITLE})",
    "sandbox_policy": "%(sandbox)s::text",
    "approval_mode": "'on-request'",
    "tokens_used": "(exp(r5 * 14) + 500)::bigint",
    "archived": "(r5 > 0.95)::int",
    "git_sha": "h || substr(h, 1, 8)",
    "git_branch": "CASE WHEN r4 < 0.4 THEN 'main' WHEN r4 < 0.9 THEN branch END",
    "git_origin_url": "CASE WHEN r4 < 0.9 THEN 'git@github.com:acme/' || project || '.git' END",
    "cli_version": "'0.' || 120 + floor(g * 50.0 / %(threads)s) || '.0'",
    "memory_mode": "'enabled'",
    "history_mode": "CASE WHEN g > %(threads)s * 0.7 THEN 'paginated' ELSE 'legacy' END",
    "session_id": "id",
    "parent_thread_id": "CASE kind WHEN 'subAgentThreadSpawn' THEN lag(id) OVER () END",
    "size_bytes": "(exp(r6 * 7 + 8))::bigint",
    "mtime_ns": "(used + (r6 * 3600000)::bigint) * 1000000",
    "flags": "0",
    "facet": "(r5 > 0.95)::int || CASE WHEN r6 < 0.01 AND r4 >= 0.04 THEN '1' ELSE '0' END"
    " || '0|' || kind || '|' || provider",
    "epoch": "1",
    "revision": "g",
    "newest": "true",
    "deleted": "false",
    "level": "%(level)s::text",
}
_USAGE: Final = """
INSERT INTO threadkeep.thread_usage (tenant_id, machine_id, row_id, hour, model, provider, effort,
    service_tier, long_context, input, cached_input, cache_write, output, reasoning, total,
    responses)
SELECT tenant_id, machine_id, row_id, recency_at_ms / 3600000 + n, coalesce(model, ''),
    model_provider, coalesce(reasoning_effort, ''), '', 0, tokens_used, tokens_used * 8 / 10, 0,
    tokens_used / 20, tokens_used / 40, tokens_used * 21 / 20, 1 + tokens_used / 20000
FROM threadkeep.threads, generate_series(0, (row_id % 5 = 0)::int) n
WHERE NOT deleted AND tokens_used > 1000
"""
_LIMITS: Final = """
INSERT INTO threadkeep.thread_limits (tenant_id, machine_id, row_id, at_ms, value)
SELECT tenant_id, machine_id, row_id, recency_at_ms,
    '{"primary":{"used_percent":12.5,"window_minutes":300,"resets_at":1796000000}}'
FROM threadkeep.threads WHERE NOT deleted AND row_id % 3 = 0
"""
_MARKS: Final = """
INSERT INTO threadkeep.user_data (tenant_id, machine_id, thread_id, key, value, set_at_ms,
    recency_at_ms, created_at_ms, updated_at_ms, facet)
SELECT tenant_id, machine_id, id, key, value, recency_at_ms, recency_at_ms, created_at_ms,
    updated_at_ms, facet
FROM threadkeep.threads, LATERAL (VALUES
    ('pinned', '1', row_id % 100 = 1), ('status', 'todo', row_id % 50 = 2),
    ('status', 'done', row_id % 20 = 3), ('tag:review', '', row_id % 30 = 4),
    ('tag:bug', '', row_id % 15 = 5), ('tag:rare', '', row_id % 5000 = 6),
    ('note', 'look at ' || title, row_id % 80 = 7), ('name', name, name IS NOT NULL)
) AS mark (key, value, has) WHERE NOT deleted AND has
"""
_FOLDERS: Final = """
INSERT INTO threadkeep.folders (tenant_id, cwd_key, git_origin_url)
SELECT DISTINCT tenant_id, cwd_key, coalesce(git_origin_url, '') FROM threadkeep.threads
"""
_DOCUMENTS: Final = """
INSERT INTO threadkeep.documents (month, tenant_id, machine_id, row_id, position, text, messages,
    digest)
SELECT date_trunc('month', to_timestamp(d.created_at_ms / 1000) AT TIME ZONE 'UTC')::date,
    d.tenant_id, d.machine_id, d.row_id, %(position)s, text,
    convert_to(json_build_array(json_build_array('userMessage', 'turn', 'item', text))::text,
        'UTF8'), md5(text)
FROM (
    SELECT t.*, ' ' || t.search_text || ' ' || a.text || ' ' || b.text || ' ' || c.text || ' '
        || d.text || ' ticket ' || 100000 + floor(random() * 200000)::int || ' commit '
        || left(t.git_sha, 10) || ' ' AS text
    FROM (SELECT tenant_id, machine_id, row_id, created_at_ms, search_text, git_sha, row_id AS g,
            floor(random() * %(paragraphs)s)::int AS a, floor(random() * %(paragraphs)s)::int AS b,
            floor(random() * %(paragraphs)s)::int AS c, floor(random() * %(paragraphs)s)::int AS d
        FROM threadkeep.threads WHERE NOT deleted AND row_id %% %(every)s = 0) t
    JOIN fleet_bench.paragraphs a ON a.n = t.a JOIN fleet_bench.paragraphs b ON b.n = t.b
    JOIN fleet_bench.paragraphs c ON c.n = t.c JOIN fleet_bench.paragraphs d ON d.n = t.d
) d
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("address")
    parser.add_argument("--threads", type=int, default=1_000_000)
    parser.add_argument("--machines", type=int, default=2_000)
    parser.add_argument("--tenants", type=int, default=20)
    parser.add_argument("--words", type=int, default=_WORDS)
    parser.add_argument("--parts", nargs="+", default=["rows", "documents"])
    args = parser.parse_args()
    with psycopg.connect(args.address, autocommit=True) as connection:
        fill(
            connection,
            threads=args.threads,
            machines=args.machines,
            tenants=args.tenants,
            parts=args.parts,
            words=args.words,
        )


if __name__ == "__main__":
    main()
