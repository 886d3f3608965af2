"""A page of threads: keyset order, composable filters, every combination from an index.

Each thread has a *facet*: archived, empty, attached, source kind and provider in one value. Filters
by these only choose facets, of which a home has a few dozen. A page is the merge of the rows of
each facet, read in order from an index on (facet, sort key, id), or on (cwd, facet, sort key, id);
so it costs the same at any size of home. Other filters choose values of a column: where they leave
few rows, these are looked up; where they leave many, the list is walked in its order.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from rollout.files.layout import parse_uuid
from rollout.schema.session_source import kinds_selected
from state.db.derived_columns import Facet, searchable, trigrams
from state.db.steps import (
    LAST_TEXT,
    MalformedRow,
    Steps,
    has_indexes_steps,
)
from state.query.choices import (
    MOST_RARE,
    Choice,
    Reason,
    choice_steps,
    facets_steps,
    fits,
    rare_steps,
    reason_of,
)
from state.query.cursor import Cursor
from state.query.marked import mark_conditions, rare_mark_steps
from state.query.model import Counted, Hidden, Page, Query
from state.query.rows import Row, rows_steps

_MOST_BRANCHES: Final = 500
"""So many places of an index are merged into one list."""
Key = tuple[int, str, int]
"""A thread in a list: its sort key, id and row id."""
Place = tuple[int, str]
"""A place in a list: a sort key and an id."""


def page_steps(query: Query) -> "Steps[Page]":
    """The page that ``query`` asks for, from the index alone. Raises InvalidCursor if the query's
    cursor is not one of this list, and InvalidQuery if too many moved folders lead to one of its
    folders."""
    after = query.decoded_cursor()
    more = yield from key_steps(query, after, query.limit + 1)
    by_id = yield from rows_steps([row_id for _, _, row_id in more[: query.limit]], "row_id")
    return page_of(query, more, by_id)


def page_of(query: Query, more: Sequence[Key], by_id: Mapping[str, Row]) -> Page:
    """The page of the rows with the keys ``more``, in the order of the list: one key more than the
    query's limit shows that there is a next page."""
    keys = more[: query.limit]
    if not keys:
        return Page([])
    found = [by_id[id_] for _, id_, _ in keys if id_ in by_id]
    # As Codex's, it begins 1 ms before the first entry: the opposite list has that one again.
    first_ms = keys[0][0] + (-1 if query.descending else 1)
    beyond = LAST_TEXT if query.descending else ""
    filters = query.filters
    back = Cursor(query.sort_key, not query.descending, filters, first_ms, beyond)
    if len(more) == len(keys):
        return Page(found, None, back.encode())
    following = Cursor(query.sort_key, query.descending, filters, *keys[-1][:2])
    return Page(found, following.encode(), back.encode())


def count_steps(query: Query) -> "Steps[Counted]":
    """How many threads the whole list of ``query`` has, and what the defaults hide from it: threads
    that differ from it in that one respect."""
    choices = yield from choice_steps(query)
    where, parameters = row_filter(query, choices, begin_of(query))
    if query.parent_id or query.ancestor_id:
        children, values = children_of(query)
        where.append(f"id IN ({children})")
        parameters += values
    # Without the sign, SQLite would take the index on facets for the groups, whatever is chosen.
    group = "+facet" if choices else "facet"
    rows = yield (
        f"SELECT facet, count(*) FROM threads WHERE {all_of(where)} GROUP BY {group}",
        parameters,
    )
    counts = Counter[Reason]()
    for value, count in rows:
        if reason := reason_of(query, Facet.decode(value)):
            counts[reason] += count
    counts["unreadable"] = yield from unreadable_steps()
    return counted(counts)


def counted(counts: Mapping[Reason, int], most: int | None = None) -> Counted:
    """Numbers of threads, by whether they are listed or why not; counted up to one more than
    ``most``."""
    known = Counter[str](counts)
    return Counted(known["listed"], Hidden(**{name: known[name] for name in Hidden._fields}), most)


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
) -> "Steps[list[Key]]":
    """The first ``count`` keys of the list after the cursor; with ``among``, of these rows alone,
    which are few."""
    if query.included_ids is not None and among is None:
        named = "SELECT row_id FROM threads WHERE id IN (SELECT value FROM json_each(?))"
        among = [row_id for (row_id,) in (yield (named, [id_list(query.included_ids)]))]
    place = begin_of(query, after)
    if query.parent_id or query.ancestor_id:
        return (yield from lineage_keys(query, place, count, among))
    facets = yield from facets_steps(query)
    choices = yield from choice_steps(query)
    if not facets or any(choice.values == [] for choice in choices):
        return []
    served = next((each for each in choices if _is_served(query, each, len(facets))), None)
    others = [each for each in choices if each is not served]
    terms = [term for term in query.terms if len(searchable(term)) >= 3]
    if among is None and terms and (yield from has_indexes_steps("thread_titles")):
        among = yield from _title_candidates(terms)
    if among is None:
        among = yield from rare_mark_steps(query)
    if among is None:
        among = yield from rare_steps(others)
    # Indexes of other orders come at the end of a first backfill. Before, a walk would look for
    # each row in all of them.
    name = f"ix_threads_facet_{query.sort_key}"
    if among is not None or not (yield from has_indexes_steps(name)):
        where, parameters = row_filter(query, choices, place, "+")
        return (yield from _sorted_keys(query, facets, among, where, parameters, count))
    return (yield from _walked_keys(query, facets, served, others, place, count))


def _is_served(query: Query, choice: Choice, facets: int) -> bool:
    """Whether an index has the rows of each value and facet in the order of the list, and these are
    few enough to be merged."""
    ordered = choice.column == "cwd_key" or query.sort_key == "recency_at"
    return ordered and choice.values is not None and len(choice.values) * facets <= _MOST_BRANCHES


def _walked_keys(
    query: Query,
    facets: list[str],
    served: Choice | None,
    others: list[Choice],
    place: Place | None,
    count: int,
) -> "Steps[list[Key]]":
    """The merge of the rows of all facets, and values of ``served``: the next row of the list takes
    the one that follows it in its facet into the queue. So no row is read in vain."""
    key, column = f"{query.sort_key}_ms", served.column if served else None
    where, parameters = row_filter(query, others, None, "+")

    def first(facet: str, value: str, after: str) -> str:
        chosen = [f"facet = {facet}", *([f"{column} = {value}"] if column else [])]
        conditions = all_of([*chosen, *([behind(query, after)] if after else []), *where])
        return f"(SELECT row_id FROM threads WHERE {conditions} {order_by(query, key)} LIMIT 1)"

    values: Sequence[str | None] = (served.values if served else None) or [None]
    pairs = [(facet, value) for facet in facets for value in values]
    # With the signs, SQLite finds the place of the last row in the index by its id, too.
    found = yield (
        f"WITH RECURSIVE start(facet, value) AS (VALUES {', '.join(['(?, ?)'] * len(pairs))}),"
        " found(k, id, row_id, facet, value) AS ("
        f"SELECT t.{key}, t.id, t.row_id, s.facet, s.value FROM start s CROSS JOIN threads t"
        f" ON t.row_id = {first('s.facet', 's.value', '?, ?' if place else '')} UNION ALL"
        f" SELECT t.{key}, t.id, t.row_id, f.facet, f.value FROM found f CROSS JOIN threads t"
        f" ON t.row_id = {first('f.facet', 'f.value', '+f.k, +f.id')}"
        f" {order_by(query, '1', '2')} LIMIT ?) SELECT k, id, row_id FROM found",
        [*itertools.chain(*pairs), *(place or ()), *parameters, *parameters, count],
    )
    return _merge(query, found, count)


def begin_of(query: Query, after: Cursor | None = None) -> Place | None:
    """The place behind which the list begins; None for its natural beginning."""
    moment = query.until_ms if query.descending else query.since_ms
    places = [] if after is None else [(after.key_ms, after.thread_id)]
    places += [] if moment is None else [(moment, "")]
    return (min if query.descending else max)(places, default=None)


def behind(query: Query, place: str) -> str:
    return f"({query.sort_key}_ms, id) {'<' if query.descending else '>'} ({place})"


def order_by(query: Query, key: str, id_: str = "id") -> str:
    direction = "DESC" if query.descending else "ASC"
    return f"ORDER BY {key} {direction}, {id_} {direction}"


def _merge(query: Query, found: Iterable[Key], count: int) -> list[Key]:
    try:
        return sorted(found, reverse=query.descending)[:count]
    except TypeError:
        raise MalformedRow("a row of threads") from None


def row_filter(
    query: Query, choices: Sequence[Choice], place: Place | None, sign: str = ""
) -> tuple[list[str], list[Any]]:
    """Conditions on single rows behind a place, with their parameters. With the ``sign`` ``+`` no
    index on what is chosen is looked for, and without it one for the first choice only: SQLite does
    not know which leaves the fewest."""
    where: list[str] = []
    parameters: list[Any] = []
    if place is not None:
        where.append(behind(query, "?, ?"))
        parameters += place
    end = query.since_ms if query.descending else query.until_ms
    if end is not None:
        where.append(f"{query.sort_key}_ms {'>=' if query.descending else '<'} ?")
        parameters.append(end)
    for number, choice in enumerate(choices):
        condition, values = choice.condition(sign or "+" * bool(number))
        where.append(condition)
        parameters += values
    for condition, values in mark_conditions(query, by_row=bool(sign or choices)):
        where.append(condition)
        parameters += values
    if query.included_ids is not None:
        where.append("id IN (SELECT value FROM json_each(?))")
        parameters.append(id_list(query.included_ids))
    if query.excluded_ids:
        where.append(f"id NOT IN ({','.join('?' * len(query.excluded_ids))})")
        parameters += [parse_uuid(id_) for id_ in query.excluded_ids]
    for term in query.terms:
        where.append("instr(search_text, ?) > 0")
        parameters.append(searchable(term))
    for term in query.without:
        where.append("instr(search_text, ?) = 0")
        parameters.append(searchable(term))
    if query.users:  # in a fleet
        users = (
            "SELECT machine_id FROM machines WHERE user_name IN (SELECT value FROM json_each(?))"
        )
        where.append(f"machine_id IN ({users})")
        parameters.append(json.dumps(query.users))
    return where, parameters


def all_of(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions) or "TRUE"


def id_list(given: Iterable[str]) -> str:
    return json.dumps([parse_uuid(id_) for id_ in given])


def _title_candidates(terms: Sequence[str]) -> "Steps[list[int] | None]":
    """The rows that may contain all ``terms``, by the trigrams of the title index; None if they are
    too many: frequent terms are found faster by walking the list in its order."""
    rows = yield (
        "SELECT rowid FROM thread_titles WHERE thread_titles MATCH ? LIMIT ?",
        [" AND ".join(map(trigrams, terms)), MOST_RARE + 1],
    )
    return None if len(rows) > MOST_RARE else [row_id for (row_id,) in rows]


def _sorted_keys(
    query: Query,
    facets: list[str],
    candidates: list[int] | None,
    where: list[str],
    parameters: list[Any],
    count: int,
) -> "Steps[list[Key]]":
    key = f"{query.sort_key}_ms"
    conditions = [f"+facet IN ({','.join('?' * len(facets))})", *where]
    if candidates is not None:
        conditions.append("row_id IN (SELECT value FROM json_each(?))")
        parameters = [*parameters, json.dumps(candidates)]
    found = yield (
        f"SELECT {key} AS k, id, row_id FROM threads WHERE {all_of(conditions)}"
        f" {order_by(query, 'k')} LIMIT ?",
        [*facets, *parameters, count],
    )
    return _merge(query, found, count)


def lineage_keys(
    query: Query, place: Place | None, count: int, among: list[int] | None
) -> "Steps[list[Key]]":
    """Children of one thread, or all its descendants: edges first, then their rows."""
    children, values = children_of(query)
    where, parameters = row_filter(query, (yield from choice_steps(query)), place, "+")
    if among is not None:
        where.append("+row_id IN (SELECT value FROM json_each(?))")
        parameters.append(json.dumps(among))
    key = f"{query.sort_key}_ms"
    rows = yield (
        f"SELECT {key} AS k, id, row_id, facet FROM threads WHERE"
        f" {all_of([f'id IN ({children})', *where])} {order_by(query, 'k')}",
        [*values, *parameters],
    )
    return [tuple(row[:3]) for row in rows if fits(query, Facet.decode(row[3]))][:count]


def children_of(query: Query) -> tuple[str, list[Any]]:
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
    choose among all of them, whatever a list hides, with its parameters; ``TRUE`` if every thread
    is one. ``archived`` chooses archived ones. Providers and models do not count."""
    choices = yield from choice_steps(replace(query, models=()))
    where, parameters = row_filter(query, choices, begin_of(query))
    if archived:
        where.append("archived = 1")
    if query.source_kinds:
        kinds = kinds_selected(list(query.source_kinds))
        where.append("source_kind IN (SELECT value FROM json_each(?))")
        parameters.append(json.dumps([*kinds]))
    if query.parent_id or query.ancestor_id:
        children, values = children_of(query)
        where.append(f"id IN ({children})")
        parameters += values
    if not where:
        return "TRUE", []
    return f"{row_id} IN (SELECT row_id FROM threads WHERE {all_of(where)})", parameters


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
