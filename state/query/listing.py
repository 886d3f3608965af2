"""A page of threads: keyset order, composable filters, every combination from an index.

Each thread has a *facet*: archived, empty, attached, source kind and provider in one value. Filters
by these only choose facets, of which a home has a few dozen. A page is the merge of the first rows
of each facet, read in order from an index on (facet, sort key, id), or on (cwd, facet, sort key,
id); so it costs the same at any size of home. Other filters choose values of a column: where they
leave few rows, these are looked up; where they leave many, the list is walked in its order.
"""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from rollout.files.layout import parse_uuid
from rollout.schema.session_source import kinds_selected
from state.db.derived_columns import Facet, searchable, trigrams
from state.db.steps import MalformedRow, Steps
from state.query.choices import MOST_RARE, Choice, choice_steps, rare_steps
from state.query.cursor import LAST_ID, Cursor
from state.query.model import Counted, Hidden, Page, Query
from state.query.rows import Row, rows_steps

_BRANCHES: Final = 100  # SQLite takes 500 terms in one compound SELECT
_MOST_BRANCHES: Final = 500
"""So many places of an index are merged into one list."""


def page_steps(query: Query) -> "Steps[Page]":
    """The page that ``query`` asks for, from the index alone. Raises InvalidCursor if the query's
    cursor is not one of this list, and InvalidQuery if too many moved folders lead to one of its
    folders."""
    after = query.decoded_cursor()
    more = yield from key_steps(query, after, query.limit + 1)
    by_id = yield from rows_steps([id_ for _, id_ in more[: query.limit]])
    return page_of(query, more, by_id)


def page_of(query: Query, more: Sequence[tuple[int, str]], by_id: Mapping[str, Row]) -> Page:
    """The page of the rows with the keys ``more``, (sort key, id) in the order of the list: one key
    more than the query's limit shows that there is a next page."""
    keys = more[: query.limit]
    if not keys:
        return Page([])
    found = [by_id[id_] for _, id_ in keys if id_ in by_id]
    next_cursor = _cursor(query, *keys[-1]) if len(more) > query.limit else None
    # As Codex's, it begins 1 ms before the first entry: the opposite list has that one again.
    step = -1 if query.descending else 1
    beyond = LAST_ID if query.descending else ""
    back = _cursor(
        replace(query, descending=not query.descending, cursor=None), keys[0][0] + step, beyond
    )
    return Page(found, next_cursor, back)


def _cursor(query: Query, key_ms: int, thread_id: str) -> str:
    return Cursor(query.sort_key, query.descending, query.filters, key_ms, thread_id).encode()


def count_steps(query: Query) -> "Steps[Counted]":
    """How many threads the whole list of ``query`` has, and what the defaults hide from it: threads
    that differ from it in that one respect."""
    choices = yield from choice_steps(query)
    where, parameters = _row_filter(query, choices)
    if query.parent_id or query.ancestor_id:
        children, values = _children(query)
        where.append(f"id IN ({children})")
        parameters += values
    # Without the sign, SQLite would take the index on facets for the groups, whatever is chosen.
    group = "+facet" if choices else "facet"
    rows = yield (
        f"SELECT facet, count(*) FROM threads WHERE {_all(where)} GROUP BY {group}",
        parameters,
    )
    counted = dict(rows)
    listed = archived = source = empty = attached = 0
    for value, count in counted.items():
        facet = Facet.decode(value)
        if query.providers and facet.provider not in query.providers:
            continue
        wanted_source = _source_fits(query, facet)
        if fits(query, facet):
            listed += count
        elif facet.archived != query.archived:
            # Asking for the archive is a choice: active threads are not hidden then.
            archived += count if wanted_source and not query.archived and not facet.empty else 0
        elif facet.empty and not _shows_empty(query):
            empty += count
        elif not wanted_source and not query.source_kinds:
            source += count
        elif wanted_source and facet.attached and not _shows_attached(query):
            attached += count
    unreadable = yield from unreadable_steps()
    return Counted(listed, Hidden(archived, source, empty, attached, unreadable))


def any_steps() -> "Steps[bool]":
    """Whether there is anything at all: a thread, or an unreadable file."""
    rows = yield ("SELECT EXISTS (SELECT 1 FROM threads)", [])
    return bool(rows[0][0] or (yield from unreadable_steps()))


def unreadable_steps() -> "Steps[int]":
    """How many unreadable files there are."""
    # The second condition is that of the index on buckets.
    where = "bucket = 'unreadable' AND bucket <> 'indexed'"
    rows = yield (f"SELECT count(*) FROM rollout_files WHERE {where}", [])
    return int(rows[0][0])


def key_steps(
    query: Query, after: Cursor | None, count: int, among: list[int] | None = None
) -> "Steps[list[tuple[int, str]]]":
    """The first ``count`` (sort key, id) of the list after the cursor; with ``among``, of these
    rows alone, which are few."""
    if query.included_ids is not None and among is None:
        named = "SELECT row_id FROM threads WHERE id IN (SELECT value FROM json_each(?))"
        among = [row_id for (row_id,) in (yield (named, [_ids(query.included_ids)]))]
    if query.parent_id or query.ancestor_id:
        return (yield from _lineage_keys(query, after, count, among))
    facets = yield from _facets(query)
    choices = yield from choice_steps(query)
    if not facets or any(choice.values == [] for choice in choices):
        return []
    served = next((each for each in choices if _is_served(query, each, len(facets))), None)
    others = [each for each in choices if each is not served]
    if among is None and query.search is not None and len(searchable(query.search)) >= 3:
        among = yield from _title_candidates(query.search)
    if among is None:
        among = yield from rare_steps(others)
    if among is not None:
        where, parameters = _row_filter(query, choices, after, "+")
        return (yield from _few_keys(query, facets, among, where, parameters, count))
    where, parameters = _row_filter(query, others, after, "+")
    column, values = (served.column, served.values) if served else (None, None)
    branches = [
        (_branch(query, column, where), [facet, *value, *parameters])
        for value in ([[each] for each in values] if values else [[]])
        for facet in facets
    ]
    return (yield from _merged(query, branches, count))


def _is_served(query: Query, choice: Choice, facets: int) -> bool:
    """Whether an index has the rows of each value and facet in the order of the list, and these are
    few enough to be merged."""
    ordered = choice.column == "cwd_key" or query.sort_key == "recency_at"
    return ordered and choice.values is not None and len(choice.values) * facets <= _MOST_BRANCHES


def _branch(query: Query, column: str | None, where: list[str]) -> str:
    key = f"{query.sort_key}_ms"
    # SQLite picks the index on the column by itself; during a first backfill there is none.
    hint = "" if column else f" INDEXED BY ix_threads_facet_{query.sort_key}"
    conditions = ["facet = ?", *([f"{column} = ?"] if column else []), *where]
    return (
        f"SELECT {key} AS k, id FROM threads{hint}"
        f" WHERE {_all(conditions)} {_order(query, key)} LIMIT ?"
    )


def _merged(
    query: Query, branches: list[tuple[str, list[Any]]], count: int
) -> "Steps[list[tuple[int, str]]]":
    """The first ``count`` rows of all branches together.

    Each branch is read for its fair share first, and again only if it may have more of them.
    """
    share = min(count, 2 * count // len(branches) + 8)
    asked = dict.fromkeys(range(len(branches)), share)
    given: dict[int, list[tuple[int, str]]] = {}
    while True:
        wanted = list(asked)
        for start in range(0, len(wanted), _BRANCHES):
            some = wanted[start : start + _BRANCHES]
            sql = " UNION ALL ".join(f"SELECT {n}, * FROM ({branches[n][0]})" for n in some)
            values = [value for n in some for value in (*branches[n][1], asked[n])]
            given |= {n: [] for n in some}
            for n, key, id_ in (yield (sql, values)):
                given[n].append((key, id_))
        found = _merge(query, itertools.chain(*given.values()), count)
        last = found[-1] if len(found) == count else None
        asked = {
            n: count
            for n, limit in asked.items()
            if len(given[n]) == limit < count
            and (last is None or (given[n][-1] > last) == query.descending)
        }
        if not asked:
            return found


def _order(query: Query, key: str) -> str:
    direction = "DESC" if query.descending else "ASC"
    return f"ORDER BY {key} {direction}, id {direction}"


def _merge(query: Query, found: Iterable[tuple[int, str]], count: int) -> list[tuple[int, str]]:
    try:
        return sorted(found, reverse=query.descending)[:count]
    except TypeError:
        raise MalformedRow("a row of threads") from None


def _facets(query: Query) -> "Steps[list[str]]":
    """The facets in this index that match the query, found by skipping from one to the next."""
    rows = yield (
        "WITH RECURSIVE hop(value) AS (SELECT min(facet) FROM threads UNION ALL"
        " SELECT (SELECT min(facet) FROM threads WHERE facet > value) FROM hop"
        " WHERE value IS NOT NULL) SELECT value FROM hop WHERE value IS NOT NULL",
        [],
    )
    return [value for (value,) in rows if fits(query, Facet.decode(value))]


def fits(query: Query, facet: Facet) -> bool:
    """Whether the list of ``query`` shows threads of this facet."""
    return (
        facet.archived == query.archived
        and (not facet.empty or _shows_empty(query))
        and (not facet.attached or _shows_attached(query))
        and (not query.providers or facet.provider in query.providers)
        and _source_fits(query, facet)
    )


def _shows_empty(query: Query) -> bool:
    return bool(query.parent_id or query.ancestor_id)  # as Codex does


def _shows_attached(query: Query) -> bool:
    return bool(query.attached or query.all_sources or query.parent_id or query.ancestor_id)


def _source_fits(query: Query, facet: Facet) -> bool:
    if query.source_kinds:
        return facet.kind in kinds_selected(list(query.source_kinds))
    lineage = query.parent_id or query.ancestor_id  # children are listed without naming kinds
    return bool(query.all_sources or lineage or facet.kind in kinds_selected([]))


def _row_filter(
    query: Query, choices: Sequence[Choice], after: Cursor | None = None, sign: str = ""
) -> tuple[list[str], list[Any]]:
    """Conditions on single rows, with their parameters. With the ``sign`` ``+`` no index on what is
    chosen is looked for, and without it one for the first choice only: SQLite does not know which
    leaves the fewest."""
    where: list[str] = []
    parameters: list[Any] = []
    key = f"{query.sort_key}_ms"
    if after is not None:
        where.append(f"({key}, id) {'<' if query.descending else '>'} (?, ?)")
        parameters += [after.key_ms, after.thread_id]
    for comparison, moment in ((">=", query.since_ms), ("<", query.until_ms)):
        if moment is not None:
            where.append(f"{key} {comparison} ?")
            parameters.append(moment)
    for place, choice in enumerate(choices):
        condition, values = choice.condition(sign or "+" * bool(place))
        where.append(condition)
        parameters += values
    if query.included_ids is not None:
        where.append("id IN (SELECT value FROM json_each(?))")
        parameters.append(_ids(query.included_ids))
    if query.excluded_ids:
        where.append(f"id NOT IN ({','.join('?' * len(query.excluded_ids))})")
        parameters += [parse_uuid(id_) for id_ in query.excluded_ids]
    if query.search is not None:
        where.append("instr(search_text, ?)")
        parameters.append(searchable(query.search))
    return where, parameters


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions) or "1"


def _ids(given: Iterable[str]) -> str:
    return json.dumps([parse_uuid(id_) for id_ in given])


def _title_candidates(term: str) -> "Steps[list[int] | None]":
    """The rows that may contain ``term``, by the trigrams of the title index; None if they are too
    many: a frequent term is found faster by walking the list in its order."""
    rows = yield (
        "SELECT rowid FROM thread_titles WHERE thread_titles MATCH ? LIMIT ?",
        [trigrams(term), MOST_RARE + 1],
    )
    return None if len(rows) > MOST_RARE else [row_id for (row_id,) in rows]


def _few_keys(
    query: Query,
    facets: list[str],
    candidates: list[int],
    where: list[str],
    parameters: list[Any],
    count: int,
) -> "Steps[list[tuple[int, str]]]":
    key = f"{query.sort_key}_ms"
    conditions = [
        "row_id IN (SELECT value FROM json_each(?))",
        f"+facet IN ({','.join('?' * len(facets))})",
        *where,
    ]
    found = yield (
        f"SELECT {key} AS k, id FROM threads WHERE {_all(conditions)} {_order(query, 'k')} LIMIT ?",
        [json.dumps(candidates), *facets, *parameters, count],
    )
    return _merge(query, found, count)


def _lineage_keys(
    query: Query, after: Cursor | None, count: int, among: list[int] | None
) -> "Steps[list[tuple[int, str]]]":
    """Children of one thread, or all its descendants: edges first, then their rows."""
    children, values = _children(query)
    where, parameters = _row_filter(query, (yield from choice_steps(query)), after, "+")
    if among is not None:
        where.append("+row_id IN (SELECT value FROM json_each(?))")
        parameters.append(json.dumps(among))
    key = f"{query.sort_key}_ms"
    rows = yield (
        f"SELECT {key} AS k, id, facet FROM threads WHERE"
        f" {_all([f'id IN ({children})', *where])} {_order(query, 'k')}",
        [*values, *parameters],
    )
    return [(key, id_) for key, id_, facet in rows if fits(query, Facet.decode(facet))][:count]


def _children(query: Query) -> tuple[str, list[Any]]:
    """SQL for the ids of what the query's parent or ancestor spawned, with its parameters."""
    start = parse_uuid(query.parent_id or query.ancestor_id)
    children = "SELECT child_thread_id AS id FROM thread_spawn_edges WHERE parent_thread_id = ?"
    if not query.ancestor_id:
        return children, [start]
    descendants = (  # UNION, not UNION ALL: lineage in damaged files may go in circles
        f"WITH RECURSIVE descendants(id) AS ({children} UNION SELECT e.child_thread_id FROM"
        " thread_spawn_edges e JOIN descendants d ON e.parent_thread_id = d.id)"
        " SELECT id FROM descendants WHERE id <> ?"
    )
    return descendants, [start, start]


def selected_steps(
    query: Query, *, archived: bool, row_id: str = "row_id"
) -> "Steps[tuple[str, list[Any]]]":
    """A condition in SQL that the ``row_id`` is one of the threads that the filters of ``query``
    choose among all of them, whatever a list hides, with its parameters; ``1`` if every thread is
    one. ``archived`` chooses archived ones. Providers and models do not count."""
    choices = yield from choice_steps(replace(query, models=()))
    where, parameters = _row_filter(query, choices)
    if archived:
        where.append("archived")
    if query.source_kinds:
        kinds = kinds_selected(list(query.source_kinds))
        where.append("source_kind IN (SELECT value FROM json_each(?))")
        parameters.append(json.dumps([*kinds]))
    if query.parent_id or query.ancestor_id:
        children, values = _children(query)
        where.append(f"id IN ({children})")
        parameters += values
    if not where:
        return "1", []
    return f"{row_id} IN (SELECT row_id FROM threads WHERE {_all(where)})", parameters


def short_id_steps(ids: Sequence[str]) -> "Steps[dict[str, str]]":
    """For each id the shortest prefix, of eight letters or more, that no other thread has."""
    short: dict[str, str] = {}
    for id_ in ids:
        rows = yield (
            "SELECT (SELECT max(id) FROM threads WHERE id < ?),"
            " (SELECT min(id) FROM threads WHERE id > ?)",
            [id_, id_],
        )
        neighbours = [other for other in rows[0] if other is not None]
        length = 8
        while any(other.startswith(id_[:length]) for other in neighbours):
            length += 1
        short[id_] = id_[:length]
    return short
