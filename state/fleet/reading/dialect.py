"""SQL of the step generators, which is SQLite's, as PostgreSQL takes it.

The generators are written so that there is little to change: what both databases know at the same
price stands in them as it is. The rest are the few words below.
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from state.db.steps import OF_ALL, OF_INDEXES
from state.query.projects import FOLDERS_CALLED, FOLDERS_LIKE, MOST_CALLED, ORIGINS
from state.query.tree import BELOW, PARENT


class Native(str):
    """SQL that is PostgreSQL's already, with parameters such as ``%(name)s`` or ``%s``."""

    __slots__ = ()


class Binary(Native):
    """The same, whose rows are sent in PostgreSQL's own form: bytes are half as long in it."""

    __slots__ = ()


BY_VALUES: Final = "/* by values */ "
"""What a statement begins with that is planned anew each time: which index serves depends on how
many rows have the values that are asked for."""
Value = Callable[[Any], Any]
"""Makes a parameter what PostgreSQL takes in its place."""

TENANTS_TABLES: Final = (
    *("threads", "user_data", "thread_usage", "thread_limits", "thread_spawn_edges"),
    *("copied_data", "rollout_files", "machines", "copies", "folders"),
)
"""Each has a column ``tenant_id``, which is made a constant: then PostgreSQL leaves out the
partitions of other tenants before it runs a statement."""
_KEYWORDS: Final = (
    "WHERE|ON|USING|ORDER|GROUP|HAVING|LIMIT|JOIN|CROSS|LEFT|INNER|UNION|SET|AND|OR|LATERAL"
)
_ALIAS: Final = rf"(?:\s+(?:AS\s+)?(?!(?:{_KEYWORDS})\b)(?P<{{0}}>[a-z_]\w*))?"
_WORDS: Final = re.compile(
    r"(?P<text>'(?:[^']|'')*')"
    r"|(?P<among>IN \(SELECT value FROM json_each\(\?\)\))"
    rf"|(?P<each>json_each\(\?\)){_ALIAS.format('each_alias')}"
    rf"|(?P<table>\b(?:FROM|JOIN)\s+(?P<name>{'|'.join(TENANTS_TABLES)})\b)"
    rf"{_ALIAS.format('table_alias')}"
    rf"|(?P<rates>\busage_rates\b){_ALIAS.format('rates_alias')}"
    r"|(?P<month>strftime\('%Y-%m', )"
    r"|(?P<month_end>, 'unixepoch'\))"
    r"|(?P<glob>GLOB \?)"
    r"|(?P<start>AS \(SELECT \? UNION\b)"
    r"|(?P<greatest>\bmax\((?=[^()]*,))"
    r"|(?P<strpos>\binstr\()"
    r"|(?P<plus>\+(?=[a-z_]))"
    r"|(?P<parameter>\?)"
    r"|(?P<percent>%)"
)
_KINDS: Final = (
    *("text", "among", "each", "table", "rates", "month", "month_end", "glob", "start"),
    *("greatest", "strpos", "plus", "parameter", "percent"),
)
_ORDERED_JOIN: Final = re.compile(r"\bCROSS JOIN (\w+ \w+) ON\b")
_OTHER_PLANS: Final = {
    FOLDERS_CALLED: "SELECT threadkeep.folders_called(threadkeep.my_tenant(),"
    f" ARRAY(SELECT value FROM json_each(?)), {MOST_CALLED + 1})",
    FOLDERS_LIKE: "SELECT cwd_key FROM folders WHERE lower(cwd_key || chr(10) || git_origin_url)"
    f" LIKE ANY (SELECT value FROM json_each(?)) LIMIT {MOST_CALLED + 1}",
    # The folders say it by themselves, but for those of which threads have had several.
    ORIGINS: "WITH of AS MATERIALIZED (SELECT cwd_key, array_agg(git_origin_url) AS urls"
    " FROM folders WHERE cwd_key IN (SELECT value FROM json_each(?)) AND git_origin_url <> ''"
    " GROUP BY cwd_key) SELECT cwd_key, 0::bigint, urls[1] FROM of WHERE cardinality(urls) = 1"
    " UNION ALL SELECT of.cwd_key, t.created_at_ms, t.git_origin_url FROM of CROSS JOIN LATERAL"
    " (SELECT created_at_ms, git_origin_url FROM threads WHERE cwd_key = of.cwd_key"
    " AND git_origin_url <> '' ORDER BY created_at_ms DESC, git_origin_url DESC LIMIT 1) t"
    " WHERE cardinality(of.urls) > 1",
    BELOW: f"SELECT p.value, t.id FROM json_each(?) p CROSS JOIN LATERAL (SELECT id, created_at_ms"
    f" FROM threads WHERE {PARENT} = p.value ORDER BY created_at_ms, id LIMIT ?) t"
    " ORDER BY p.key, t.created_at_ms, t.id",
    # Statistics of the tables are old where a machine has just pushed all that it has.
    OF_ALL: "SELECT set_config('enable_nestloop', 'off', true),"
    " set_config('enable_mergejoin', 'off', true), set_config('work_mem', '64MB', true)",
}
"""Statements that PostgreSQL would carry out in an order that takes as long as the fleet is large,
as they would be written for it but for the words; and one that says so of those behind it."""
RATES: Final = (
    *("provider", "model", "service_tier", "long_context", "from_hour", "until_hour", "day_from"),
    *("day_until", "input_rate", "cached_input_rate", "cache_write_rate", "output_rate", "origin"),
)
"""The columns of ``usage_rates``, which the fleet does not keep: prices are the reader's own."""
_RATES_TYPES: Final = ", ".join(
    f"{name} {'text' if name in ('provider', 'model', 'service_tier', 'origin') else type_}"
    for name, type_ in (
        (name, "double precision" if name.endswith("_rate") else "bigint") for name in RATES
    )
)


class Translated(NamedTuple):
    """A statement for PostgreSQL."""

    sql: str
    values: tuple[Value | None, ...]
    """For each parameter, in order; None stands for the rates, which the caller adds."""

    def parameters(self, given: Sequence[Any], rates: str) -> list[Any]:
        """What to send for the ``given`` parameters; ``rates`` are JSON of objects."""
        left = iter(given)
        return [rates if make is None else make(next(left)) for make in self.values]


def text(value: Any) -> Any:
    """A parameter as it is, but for NULs, which no text in PostgreSQL has: one at the end is the
    end of a range, so that the least other character ends it as well."""
    if isinstance(value, str) and "\0" in value:
        head, tail = value[:-1], value[-1]
        return head.replace("\0", "\ufffd") + ("\x01" if tail == "\0" else tail)
    return value


def _values(listed: str) -> list[Any]:
    return [text(value) for value in json.loads(listed)]


def _json(listed: str) -> str:
    return listed.replace("\\u0000", "\\ufffd")


def _like(glob: str) -> Any:
    """The pattern of LIKE for one of GLOB, in which only ``*`` stands for others."""
    parts = [re.sub(r"\[(.)\]", r"\1", part) for part in glob.split("*")]
    return text("%".join(re.sub(r"[\\%_]", r"\\\g<0>", part) for part in parts))


@lru_cache(maxsize=1024)
def translated(sql: str, tenant_id: int) -> Translated:
    """The statement that asks PostgreSQL what ``sql`` asks SQLite, of one tenant."""
    values: list[Value | None] = []
    rows = "->>" in sql

    def word(found: "re.Match[str]") -> str:
        kind = next(name for name in _KINDS if found[name] is not None)
        match kind:
            case "text":
                return found[0].replace("%", "%%")
            case "among":
                values.append(_values)
                return "= ANY (%s)"
            case "each":
                values.append(_json if rows else _values)
                return _each(rows, found["each_alias"] or "json_each")
            case "table":
                alias = found["table_alias"] or found["name"]
                return (
                    f"{found['table'].split()[0]} (SELECT * FROM {found['name']}"
                    f" WHERE tenant_id = {tenant_id}) {alias}"
                )
            case "rates":
                values.append(None)
                alias = found["rates_alias"] or "usage_rates"
                return f"jsonb_to_recordset(%s::jsonb) AS {alias}({_RATES_TYPES})"
            case "month":
                return "to_char(to_timestamp("
            case "month_end":
                return ") AT TIME ZONE 'UTC', 'YYYY-MM')"
            case "glob":
                values.append(_like)
                return "LIKE %s"
            case "start":
                values.append(text)
                return 'AS (SELECT %s::text COLLATE "C" UNION'
            case "greatest":
                return "greatest("
            case "strpos":
                return "strpos("
            case "plus":
                return ""  # keeps SQLite from an index
            case "percent":
                return "%%"
        values.append(text)
        return "%s"

    # That SQLite is told the order of a join, PostgreSQL takes for a mistake.
    sql = _ORDERED_JOIN.sub(r"JOIN \1 ON", _OTHER_PLANS.get(sql, sql))
    return Translated(_WORDS.sub(word, sql), tuple(values))


def _each(rows: bool, alias: str) -> str:
    if rows:
        return f"jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS {alias}(value, key)"
    return (
        '(SELECT value COLLATE "C" AS value, key FROM unnest(%s::text[])'
        f" WITH ORDINALITY AS each(value, key)) {alias}"
    )


INDEXES: Final = frozenset(
    {
        *("ix_threads_cwd_recency_at", "ix_threads_cwd_git_origin_url"),
        *("ix_threads_model", "ix_threads_git_branch"),
    }
)
"""SQL indexes of the local index that a fleet has as well, of the newest copies. Walks of lists,
which need others, are for :mod:`state.fleet.reading.lists.pages`: SQLite's are in its own words."""


def is_about_indexes(sql: str) -> bool:
    """Whether a statement asks which SQL indexes there are."""
    return sql.startswith(OF_INDEXES)
