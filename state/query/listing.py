"""A page of threads: keyset order, composable filters, every combination from an index.

Each thread has a *facet*: archived, empty, source kind and provider in one value. All but the
cwd and the title filter only choose facets, of which a home has a few dozen. A page is the
merge of the first rows of each facet, read in order from an index on (facet, sort key, id),
or on (cwd, facet, sort key, id); so it costs the same at any size of home.

Sans-IO: these functions are generators that yield ``(sql, parameters)`` and are sent the
rows. :func:`run` drives one over a plain connection, :mod:`state.thread_index` over an async one.
"""

import hashlib
import itertools
import json
import sqlite3
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar

import orjson

from rollout.files.cancellation import check_wanted
from rollout.files.layout import parse_uuid
from rollout.schema.session_source import SOURCE_KINDS, kinds_selected
from state.db.location import spellings
from state.errors import InvalidQuery, Malformed
from state.query.cursor import LAST_ID, Cursor, decode
from state.userdata.folders import ALIASES_SQL, origins

SORT_KEYS: Final = ("created_at", "updated_at", "recency_at")
DEFAULT_LIMIT: Final = 25
LARGEST_PAGE: Final = 100
MOST_EXCLUDED: Final = 100
MOST_INCLUDED: Final = 100

COLUMNS: Final = (
    "id, rollout_path, created_at_ms, updated_at_ms, recency_at_ms, source, source_kind, "
    "thread_source, originator, model_provider, model, reasoning_effort, cwd, title, name, "
    "preview, fallback_preview, first_user_message, tokens_used, archived, git_sha, git_branch, "
    "git_origin_url, cli_version, agent_nickname, agent_role, history_mode, session_id, "
    "forked_from_id, parent_thread_id, attached_thread_parent_id, size_bytes, mtime_ns, inode"
)
"""What a list needs of a row."""

_COLUMN_NAMES: Final = tuple(COLUMNS.split(", "))
_NUMBERS: Final = frozenset(
    {
        *("created_at_ms", "updated_at_ms", "recency_at_ms", "tokens_used", "archived"),
        *("size_bytes", "mtime_ns", "inode"),
    }
)
_NUMBER: Final = (int,)
_TEXT: Final = (str, type(None))
_BRANCHES: Final = 100  # SQLite takes 500 terms in one compound SELECT
_CANDIDATES: Final = 2000

Row = dict[str, Any]
Result = TypeVar("Result")
Steps = Generator[tuple[str, Sequence[Any]], list[Any], Result]


@dataclass(frozen=True, slots=True)
class Query:
    """What to list. The defaults are Codex's, but for the provider: all of them (see
    docs/differences.md)."""

    sort_key: str = "created_at"
    descending: bool = True
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    archived: bool = False
    source_kinds: tuple[str, ...] = ()
    """Of :data:`rollout.schema.session_source.SOURCE_KINDS`; none named means the interactive
    ones."""
    all_sources: bool = False
    providers: tuple[str, ...] = ()
    cwds: tuple[str, ...] | None = None
    """None for any; an empty tuple matches nothing, as in Codex."""
    search: str | None = None
    parent_id: str | None = None
    ancestor_id: str | None = None
    excluded_ids: tuple[str, ...] = ()
    included_ids: tuple[str, ...] | None = None
    """None for any; of an empty tuple nothing is one, as in Codex. All other filters hold, too."""
    attached: bool = False
    """Whether side threads that belong to another one are listed."""

    def __post_init__(self) -> None:
        """Raise :class:`InvalidQuery` for what has no meaning; clamp the limit (§5.1)."""
        if self.sort_key not in SORT_KEYS:
            raise InvalidQuery(
                f"unknown sort key {self.sort_key!r}: use one of {', '.join(SORT_KEYS)}"
            )
        for kind in self.source_kinds:
            if kind not in SOURCE_KINDS:
                raise InvalidQuery(
                    f"unknown source kind {kind!r}: use some of {', '.join(SOURCE_KINDS)}"
                )
        if self.parent_id and self.ancestor_id:
            raise InvalidQuery("parent and ancestor cannot be combined")
        included = self.included_ids or ()
        for given in filter(None, (self.parent_id, self.ancestor_id)):
            _check_id(given)
        for given in (*self.excluded_ids, *included):
            _check_id(given)
        if len(self.excluded_ids) > MOST_EXCLUDED:
            raise InvalidQuery(f"at most {MOST_EXCLUDED} threads can be excluded")
        if len(included) > MOST_INCLUDED:
            raise InvalidQuery(f"at most {MOST_INCLUDED} threads can be named")
        texts = (*self.providers, *(self.cwds or ()), self.search or "")
        if any("\0" in text or not _is_text(text) for text in texts):
            raise InvalidQuery("a filter holds a NUL or bytes that are not UTF-8")
        object.__setattr__(self, "limit", min(max(self.limit, 1), LARGEST_PAGE))

    @property
    def filters(self) -> str:
        """Digest of all filters: a cursor is good for the same ones only."""
        value = [
            self.archived,
            sorted(self.source_kinds),
            self.all_sources,
            sorted(self.providers),
            None if self.cwds is None else sorted(self.cwds),
            self.search,
            self.parent_id,
            self.ancestor_id,
            sorted(self.excluded_ids),
            *(["attached"] if self.attached else []),
            *([] if self.included_ids is None else [{"included": sorted(self.included_ids)}]),
        ]
        return hashlib.blake2b(json.dumps(value).encode(), digest_size=6).hexdigest()

    def place(self) -> Cursor | None:
        """The decoded cursor. Raises :class:`state.errors.InvalidCursor`."""
        if self.cursor is None:
            return None
        return decode(
            self.cursor,
            sort_key=self.sort_key,
            descending=self.descending,
            filters=self.filters,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in order, and the cursors that go on from them."""

    rows: list[Row]
    next_cursor: str | None = None
    backwards_cursor: str | None = None
    """For the opposite direction; begins with the first row itself, as Codex's does (§5.4)."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """How many threads the defaults kept out of a list, by reason."""

    archived: int = 0
    source: int = 0
    empty: int = 0
    attached: int = 0
    """Side threads that belong to another one."""
    unreadable: int = 0
    """Files of which no thread could be made."""

    @property
    def total(self) -> int:
        return self.archived + self.source + self.empty + self.attached + self.unreadable


class Facet(NamedTuple):
    """What decides whether a list shows a thread. ``threads.facet`` holds it as one text."""

    archived: bool
    empty: bool
    attached: bool
    kind: str
    provider: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Facet":
        """The facet of a row. The database checks that it stays the right one."""
        empty = not (row["preview"] or row["fallback_preview"]) and row["name"] is None
        attached = row["attached_thread_parent_id"] is not None
        kind, provider = row["source_kind"], row["model_provider"]
        return cls(bool(row["archived"]), empty, attached, kind, provider)

    @classmethod
    def decode(cls, text: str) -> "Facet":
        """The facet in a stored text."""
        flags, kind, provider = text.split("|", 2)
        archived, empty, attached = (flag == "1" for flag in flags)
        return cls(archived, empty, attached, kind, provider)

    def encode(self) -> str:
        """The stored text. The provider, which may hold anything, stands last."""
        flags = f"{self.archived:d}{self.empty:d}{self.attached:d}"
        return f"{flags}|{self.kind}|{self.provider}"


def page_steps(query: Query) -> "Steps[Page]":
    """The page that ``query`` asks for, from the index alone."""
    place = query.place()
    more = yield from key_steps(query, place, query.limit + 1)
    by_id = yield from rows_steps([id_ for _, id_ in more[: query.limit]])
    return page_of(query, more, by_id)


def page_of(query: Query, more: Sequence[tuple[int, str]], by_id: Mapping[str, Row]) -> Page:
    """The page that begins with the first of ``more``, (sort key, id) in the order of the list:
    one more than the query's limit, if there are."""
    keys = more[: query.limit]
    if not keys:
        return Page([])
    found = [by_id[id_] for _, id_ in keys if id_ in by_id]
    place_after = _cursor(query, *keys[-1]) if len(more) > query.limit else None
    # Codex's begins 1 ms before the first entry, so that the opposite list holds it again.
    step = -1 if query.descending else 1
    beyond = LAST_ID if query.descending else ""
    back = _cursor(
        replace(query, descending=not query.descending, cursor=None), keys[0][0] + step, beyond
    )
    return Page(found, place_after, back)


def rows_steps(ids: Sequence[str]) -> "Steps[dict[str, Row]]":
    """The rows of those threads that the index has, by id."""
    asked = f"SELECT {COLUMNS} FROM threads WHERE id IN (SELECT value FROM json_each(?))"
    rows = yield asked, [orjson.dumps(ids).decode()]
    if not all(_is_fit(tuple(map(type, row))) for row in rows):
        raise Malformed("a row of threads")
    return {row[0]: dict(zip(_COLUMN_NAMES, row, strict=True)) for row in rows}


@cache
def _is_fit(types: tuple[type, ...]) -> bool:
    """Whether values of these types can be a row's; rows have few combinations of them."""
    named = zip(_COLUMN_NAMES, types, strict=True)
    return all(type_ in (_NUMBER if name in _NUMBERS else _TEXT) for name, type_ in named)


def _cursor(query: Query, key_ms: int, thread_id: str) -> str:
    return Cursor(query.sort_key, query.descending, query.filters, key_ms, thread_id).encode()


def hidden_steps(
    query: Query, since_ms: int | None = None, until_ms: int | None = None
) -> "Steps[Hidden]":
    """What the defaults hide from ``query``: threads that differ from it in that one respect, of
    those created from ``since_ms`` on and before ``until_ms``."""
    counted: dict[str, int] = {}
    where, parameters = _row_filter(query)
    for sign, moment in ((">=", since_ms), ("<", until_ms)):
        if moment is not None:
            where.append(f"created_at_ms {sign} ?")
            parameters.append(moment)
    for condition, more in _cwd_filter((yield from _folders(query))):
        conditions = " AND ".join([condition, *where])
        rows = yield (
            f"SELECT facet, count(*) FROM threads WHERE {conditions} GROUP BY facet",
            [*more, *parameters],
        )
        for facet, count in rows:
            counted[facet] = counted.get(facet, 0) + count
    archived = source = empty = attached = 0
    for value, count in counted.items():
        facet = Facet.decode(value)
        if query.providers and facet.provider not in query.providers:
            continue
        wanted_source = _source_fits(query, facet)
        if facet.archived != query.archived:
            # Asking for the archive is a choice; what is active is not hidden then.
            archived += count if wanted_source and not query.archived and not facet.empty else 0
        elif facet.empty and not _shows_empty(query):
            empty += count
        elif not wanted_source and not query.source_kinds:
            source += count
        elif wanted_source and facet.attached and not _shows_attached(query):
            attached += count
    unreadable = yield from unreadable_steps()
    return Hidden(archived, source, empty, attached, unreadable)


def any_steps() -> "Steps[bool]":
    """Whether there is anything at all: a thread, or a file of which none could be made."""
    rows = yield ("SELECT EXISTS (SELECT 1 FROM threads)", [])
    return bool(rows[0][0] or (yield from unreadable_steps()))


def unreadable_steps() -> "Steps[int]":
    """How many files there are of which no thread could be made."""
    rows = yield ("SELECT count(*) FROM rollout_files WHERE bucket = 'unreadable'", [])
    return int(rows[0][0])


def key_steps(
    query: Query, place: Cursor | None, count: int, among: list[int] | None = None
) -> "Steps[list[tuple[int, str]]]":
    """The first ``count`` (sort key, id) of the list after ``place``; with ``among``, of these
    rows alone, which are few."""
    if query.included_ids is not None and among is None:
        named = "SELECT row_id FROM threads WHERE id IN (SELECT value FROM json_each(?))"
        among = [row_id for (row_id,) in (yield (named, [_ids(query.included_ids)]))]
    if query.parent_id or query.ancestor_id:
        return (yield from _lineage_keys(query, place, count, among))
    facets = yield from _facets(query)
    folders = yield from _folders(query)
    if not facets or folders == []:
        return []
    where, parameters = _row_filter(query, place)
    if among is not None:
        return (yield from _few_keys(query, facets, folders, among, where, parameters, count))
    if query.search is not None and len(folded(query.search)) >= 3:
        candidates = yield from _title_candidates(query.search)
        if candidates is not None:
            return (
                yield from _few_keys(query, facets, folders, candidates, where, parameters, count)
            )
    by_cwd = folders is not None
    branches = [
        (_branch(query, by_cwd, [condition, *where]), [facet, *more, *parameters])
        for condition, more in _cwd_filter(folders)
        for facet in facets
    ]
    return (yield from _merged(query, branches, count))


def _branch(query: Query, by_cwd: bool, conditions: list[str]) -> str:
    key = f"{query.sort_key}_ms"
    # SQLite finds the index on cwd by itself; while a first backfill runs, there is none.
    hint = "" if by_cwd else f" INDEXED BY ix_threads_facet_{query.sort_key}"
    return (
        f"SELECT {key} AS k, id FROM threads{hint}"
        f" WHERE facet = ? AND {' AND '.join(conditions)} {_order(query, key)} LIMIT ?"
    )


def _merged(
    query: Query, branches: list[tuple[str, list[Any]]], count: int
) -> "Steps[list[tuple[int, str]]]":
    """The first ``count`` rows of all branches together.

    Each gives its fair share first, and is asked for more only if it may hold more of them.
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
        raise Malformed("a row of threads") from None


def _facets(query: Query) -> "Steps[list[str]]":
    """The facets of this index that fit the query, found by hopping from one to the next."""
    rows = yield (
        "WITH RECURSIVE hop(value) AS (SELECT min(facet) FROM threads UNION ALL"
        " SELECT (SELECT min(facet) FROM threads WHERE facet > value) FROM hop"
        " WHERE value IS NOT NULL) SELECT value FROM hop WHERE value IS NOT NULL",
        [],
    )
    return [value for (value,) in rows if fits(query, Facet.decode(value))]


def fits(query: Query, facet: Facet) -> bool:
    """Whether a list shows threads of this facet."""
    return (
        facet.archived == query.archived
        and (not facet.empty or _shows_empty(query))
        and (not facet.attached or _shows_attached(query))
        and (not query.providers or facet.provider in query.providers)
        and _source_fits(query, facet)
    )


def _shows_empty(query: Query) -> bool:
    return bool(query.parent_id or query.ancestor_id)  # §5.1


def _shows_attached(query: Query) -> bool:
    return bool(query.attached or query.all_sources or query.parent_id or query.ancestor_id)


def _source_fits(query: Query, facet: Facet) -> bool:
    if query.source_kinds:
        return facet.kind in kinds_selected(list(query.source_kinds))
    lineage = query.parent_id or query.ancestor_id  # children are listed without naming kinds
    return bool(query.all_sources or lineage or facet.kind in kinds_selected([]))


def _folders(query: Query) -> "Steps[list[str] | None]":
    """The keys of the query's folders, and of those that moved there; None for any folder."""
    if query.cwds is None:
        return None
    aliases = dict((yield (ALIASES_SQL, [])))
    return origins([each for cwd in query.cwds for each in spellings(cwd)], aliases)


def _cwd_filter(folders: list[str] | None) -> list[tuple[str, list[str]]]:
    """Alternatives, each a condition with its parameters; none if nothing can match."""
    if folders is None:
        return [("1", [])]
    return [("cwd_key = ?", [key]) for key in folders]


def _row_filter(query: Query, place: Cursor | None = None) -> tuple[list[str], list[Any]]:
    """Conditions on single rows, with their parameters."""
    where: list[str] = []
    parameters: list[Any] = []
    if place is not None:
        sign = "<" if query.descending else ">"
        where.append(f"({query.sort_key}_ms, id) {sign} (?, ?)")
        parameters += [place.key_ms, place.thread_id]
    if query.included_ids is not None:
        where.append("id IN (SELECT value FROM json_each(?))")
        parameters.append(_ids(query.included_ids))
    if query.excluded_ids:
        where.append(f"id NOT IN ({','.join('?' * len(query.excluded_ids))})")
        parameters += [parse_uuid(id_) for id_ in query.excluded_ids]
    if query.search is not None:
        where.append("instr(search_text, ?)")
        parameters.append(folded(query.search))
    return where, parameters


def _ids(given: Iterable[str]) -> str:
    return json.dumps([parse_uuid(id_) for id_ in given])


def _check_id(given: str) -> None:
    if parse_uuid(given) is None:
        raise InvalidQuery(f"invalid thread id: {given}")


def _is_text(text: str) -> bool:
    """Whether SQLite takes ``text``: bytes of a command line that are not UTF-8 are none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def folded(text: str) -> str:
    """The form in which titles are searched: without case and accents, as messages are."""
    from rollout.search.normalize import fold  # lists without a search do not need it

    return fold(text)


def _title_candidates(term: str) -> "Steps[list[int] | None]":
    """The rows that may hold ``term``; None if they are too many to be looked at one by one.

    Three letters here and there of the term must occur, which the title index knows. A frequent
    term is found faster by walking the list in its order.
    """
    rows = yield (
        "SELECT rowid FROM thread_titles WHERE thread_titles MATCH ? LIMIT ?",
        [trigrams(term), _CANDIDATES + 1],
    )
    return None if len(rows) > _CANDIDATES else [row_id for (row_id,) in rows]


def trigrams(term: str) -> str:
    """An FTS5 expression that is true wherever ``term`` occurs: by trigrams that together cover
    it. More of them would cost more than they exclude."""
    text = folded(term)
    starts = (*range(0, len(text) - 3, 3), len(text) - 3)
    pieces = dict.fromkeys(text[start : start + 3] for start in starts)
    return " AND ".join('"' + piece.replace('"', '""') + '"' for piece in pieces)


def _few_keys(
    query: Query,
    facets: list[str],
    folders: list[str] | None,
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
    values: list[Any] = [json.dumps(candidates), *facets, *parameters]
    if folders is not None:
        conditions.append(f"+cwd_key IN ({','.join('?' * len(folders))})")
        values += folders
    found = yield (
        f"SELECT {key} AS k, id FROM threads WHERE {' AND '.join(conditions)}"
        f" {_order(query, 'k')} LIMIT ?",
        [*values, count],
    )
    return _merge(query, found, count)


def _lineage_keys(
    query: Query, place: Cursor | None, count: int, among: list[int] | None
) -> "Steps[list[tuple[int, str]]]":
    """Children of one thread, or all its descendants: edges first, then their rows."""
    start = parse_uuid(query.parent_id or query.ancestor_id)
    family = "SELECT child_thread_id AS id FROM thread_spawn_edges WHERE parent_thread_id = ?"
    if query.ancestor_id:
        family = (  # UNION, not UNION ALL: lineage in damaged files may go in circles
            f"WITH RECURSIVE family(id) AS ({family} UNION SELECT e.child_thread_id FROM"
            " thread_spawn_edges e JOIN family f ON e.parent_thread_id = f.id)"
            " SELECT id FROM family WHERE id <> ?"
        )
    values: list[Any] = [start, start] if query.ancestor_id else [start]
    where, parameters = _row_filter(query, place)
    folders = yield from _folders(query)
    if folders is not None:
        where.append(f"+cwd_key IN ({','.join('?' * len(folders))})")
        parameters += folders
    if among is not None:
        where.append("+row_id IN (SELECT value FROM json_each(?))")
        parameters.append(json.dumps(among))
    key = f"{query.sort_key}_ms"
    rows = yield (
        f"SELECT {key} AS k, id, facet FROM threads WHERE"
        f" {' AND '.join([f'id IN ({family})', *where])} {_order(query, 'k')}",
        [*values, *parameters],
    )
    return [(key, id_) for key, id_, facet in rows if fits(query, Facet.decode(facet))][:count]


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


def run(steps: "Steps[Result]", connection: sqlite3.Connection) -> Result:
    """Drive ``steps`` to their end over a plain SQLite connection."""
    try:
        request = next(steps)
        while True:
            check_wanted()
            request = steps.send(connection.execute(*request).fetchall())
    except StopIteration as done:
        result: Result = done.value
        return result
