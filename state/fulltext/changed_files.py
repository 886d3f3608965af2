"""Find the threads of a list that have changed a file, and their changes, by the index."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

import orjson

from rollout.files.digest import blake2b
from rollout.items.patches import ChangeKind
from rollout.search.documents import lines_of
from rollout.search.normalize import casefold
from rollout.search.patches import ChangePlace
from rollout.search.snippet import Snippet, snippet
from rollout.search.terms import Matcher, Term
from state.db.sql import AMONG, listed
from state.db.steps import MalformedRow, Steps
from state.fulltext.change_rows import LETTERS
from state.fulltext.due import without_changes_steps
from state.fulltext.hits import Hit, Passage
from state.fulltext.search import Found
from state.query.cursor import Cursor, decode
from state.query.listing import Key, key_steps
from state.query.model import LARGEST_PAGE, Query
from state.query.rows import Row, rows_steps

_CHANGE: Final = "change"
"""The sort by the newest change of the file."""
_MANY: Final = 2_000
"""If so many threads have changed a file with the name, the list is walked in its order."""
_KINDS: Final = {letter: kind for kind, letter in LETTERS.items()}
_HAS_NAME: Final = "instr(ifnull(f.casefolded, f.path), ?)"
_ROWS: Final = (
    "SELECT DISTINCT row_id FROM file_changes WHERE file_id IN"
    f" (SELECT file_id FROM changed_files f WHERE {_HAS_NAME}) LIMIT {_MANY + 1}"
)
_NEWEST: Final = (
    "SELECT row_id, max(ifnull(at_ms, 0)) AS newest_ms FROM file_changes WHERE file_id IN"
    f" (SELECT file_id FROM changed_files f WHERE {_HAS_NAME})"
    " GROUP BY row_id HAVING newest_ms <= ? ORDER BY newest_ms DESC"
)
_LATEST_MS: Final = 2**63 - 1
_OF_ROWS: Final = (
    " FROM file_changes c JOIN changed_files f USING (file_id)"
    f" WHERE c.row_id {AMONG} AND {_HAS_NAME}"
)


class LastChange(NamedTuple):
    """The last change of a file in a thread."""

    path: str
    """As the patch has it: absolute, or relative to where it ran."""
    kind: ChangeKind
    at_ms: int | None
    """When, in milliseconds since 1970; None if the line does not say."""
    changes: int
    """How many times the thread has changed files whose paths hold the name."""

    def snippet(self, name: str) -> Snippet:
        """The piece of the path around what was searched for."""
        term = Term.of(name)
        return snippet(self.path, Matcher((term,) if term else ()))


class ChangingThreads(NamedTuple):
    """A page of threads that have changed a file."""

    threads: list[tuple[Row, LastChange]]
    next_cursor: str | None = None
    unindexed: int = 0
    """Of how many threads the changes are not indexed yet."""


def changed_files_steps(name: str, among: Query) -> Steps[ChangingThreads]:
    """The page of ``among`` with those threads that have changed a file whose path holds ``name``,
    case aside. Raises InvalidCursor if the query's cursor is not one of this search."""
    digest = _digest(name, among)
    key, descending = among.sort_key, among.descending
    cursor = None if among.cursor is None else decode(among.cursor, key, descending, digest)
    keys = yield from changing_keys_steps(name, among, cursor, among.limit + 1)
    return (yield from _page_steps(name, keys, among.limit, Cursor(key, descending, digest, 0, "")))


def newest_changes_steps(name: str, among: Query) -> Steps[ChangingThreads]:
    """As :func:`changed_files_steps`, those threads first that changed such a file last."""
    digest = _digest(name, among)
    after = None if among.cursor is None else decode(among.cursor, _CHANGE, True, digest)
    place = None if after is None else (after.key_ms, after.thread_id)
    rows = yield (_NEWEST, [casefold(name), _LATEST_MS if after is None else after.key_ms])
    newest = dict(rows)
    row_ids, found, begin = [*newest], list[Key](), 0
    while begin < len(row_ids) and len(found) <= among.limit:
        end = min(begin + LARGEST_PAGE, len(row_ids))
        while end < len(row_ids) and newest[row_ids[end]] == newest[row_ids[end - 1]]:
            end += 1
        keys = yield from key_steps(among, None, end - begin, row_ids[begin:end])
        some = sorted(((newest[row_id], id_, row_id) for _, id_, row_id in keys), reverse=True)
        found += (key for key in some if place is None or key[:2] < place)
        begin = end
    return (yield from _page_steps(name, found, among.limit, Cursor(_CHANGE, True, digest, 0, "")))


def _page_steps(
    name: str, keys: Sequence[Key], limit: int, cursor: Cursor
) -> Steps[ChangingThreads]:
    """The page of the first of some threads; ``cursor`` tells of which list."""
    shown = keys[:limit]
    rows = yield from rows_steps([row_id for _, _, row_id in shown], "row_id")
    last = yield from last_changes_steps([row_id for _, _, row_id in shown], name)
    threads = [
        (rows[id_], last[row_id]) for _, id_, row_id in shown if id_ in rows and row_id in last
    ]
    following = None
    if len(keys) > len(shown):
        following = cursor._replace(key_ms=shown[-1][0], thread_id=shown[-1][1]).encode()
    return ChangingThreads(threads, following, (yield from unindexed_steps()))


def all_changing_steps(name: str, among: Query, count: int) -> Steps[ChangingThreads]:
    """As :func:`changed_files_steps`, as many pages as have ``count`` threads."""
    found: list[tuple[Row, LastChange]] = []
    while True:
        page = yield from changed_files_steps(name, replace(among, limit=count - len(found)))
        found += page.threads
        if page.next_cursor is None or len(found) >= count:
            return page._replace(threads=found)
        among = replace(among, cursor=page.next_cursor)


def found_steps(name: str, among: Query, count: int) -> Steps[tuple[Found, list[list[Passage]]]]:
    """As :func:`all_changing_steps`, in the form of a search, with the last change of each."""
    page = yield from all_changing_steps(name, among, count)
    hits = [Hit(row, [], [], last.changes) for row, last in page.threads]
    where = [
        [Passage(f"file{last.kind.capitalize()}", last.snippet(name))] for _, last in page.threads
    ]
    return Found(hits, page.next_cursor, pending=page.unindexed), where


def _digest(name: str, among: Query) -> str:
    return blake2b(orjson.dumps(["file", casefold(name), among.filters]), digest_size=6).hexdigest()


def unindexed_steps() -> Steps[int]:
    """Of how many threads the changes are not indexed yet, or may be others by now."""
    pending = yield ("SELECT count(*) FROM fulltext_pending", [])
    return int(pending[0][0]) + (yield from without_changes_steps())


def changing_keys_steps(
    name: str, query: Query, after: Cursor | None, count: int
) -> Steps[list[Key]]:
    """As :func:`state.query.listing.key_steps`, of the threads that have changed a file whose path
    holds ``name``."""
    wanted = casefold(name)
    rows = yield (_ROWS, [wanted])
    if len(rows) <= _MANY:
        return (yield from key_steps(query, after, count, [row_id for (row_id,) in rows]))
    found: list[Key] = []
    while len(found) < count:
        keys = yield from key_steps(query, after, max(LARGEST_PAGE, count))
        given = listed(row_id for _, _, row_id in keys)
        holding = yield (f"SELECT DISTINCT row_id {_OF_ROWS}", [given, wanted])
        fitting = {row_id for (row_id,) in holding}
        found += (key for key in keys if key[2] in fitting)
        if len(keys) < max(LARGEST_PAGE, count):
            break
        after = Cursor(query.sort_key, query.descending, "", *keys[-1][:2])
    return found[:count]


def last_changes_steps(row_ids: Sequence[int], name: str) -> Steps[dict[int, LastChange]]:
    """The last change that each of these threads made of a file whose path holds ``name``, by
    row."""
    rows = yield (
        f"SELECT c.row_id, f.path, c.kind, c.at_ms, c.locations {_OF_ROWS} ORDER BY c.row_id",
        [listed(row_ids), casefold(name)],
    )
    found = {}
    for row_id, changes in groupby(rows, itemgetter(0)):
        latest, count, last = (-1, -1), 0, None
        for _, path, kind, at_ms, locations in changes:
            lines = _lines(locations)
            count += len(lines)
            if lines[-1] >= latest:
                latest, last = lines[-1], LastChange(path, _KINDS[kind], at_ms, 0)
        if last is not None:
            found[row_id] = last._replace(changes=count)
    return found


class ThreadChanges(NamedTuple):
    """Where a thread has changed files, for :func:`rollout.search.patches.read_patches`."""

    files: tuple[str, ...]
    """The rollouts of the thread, relative to the home."""
    places: list[ChangePlace]
    """In the order in which the changes were made."""


def thread_changes_steps(thread_id: str, name: str) -> Steps[ThreadChanges]:
    """Where a thread has changed files whose paths hold ``name``, case aside."""
    rows = yield (
        f"SELECT s.files, f.path, c.locations {_OF_THREAD} WHERE t.id = ? AND {_HAS_NAME}",
        [thread_id, casefold(name)],
    )
    if not rows:
        return ThreadChanges((), [])
    try:
        files = tuple(map(str, orjson.loads(rows[0][0])))
    except ValueError:
        raise MalformedRow("a row of fulltext_threads") from None
    places = [ChangePlace(path, *line) for _, path, locations in rows for line in _lines(locations)]
    if any(place.file >= len(files) for place in places):
        raise MalformedRow("a row of file_changes")
    return ThreadChanges(files, sorted(places, key=lambda place: (place.file, place.offset)))


_OF_THREAD: Final = (
    "FROM threads t JOIN fulltext_threads s ON s.row_id = t.row_id"
    " JOIN file_changes c ON c.row_id = t.row_id JOIN changed_files f USING (file_id)"
)


def _lines(locations: bytes) -> list[tuple[int, int]]:
    try:
        found = [*lines_of(locations)]
    except (ValueError, TypeError):
        found = []
    if not found:
        raise MalformedRow("a row of file_changes")
    return found
