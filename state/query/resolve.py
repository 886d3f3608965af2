"""Which threads a reference means: a place in the list, an id, a unique prefix of one, a name or a
path."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from rollout.files.layout import COMPRESSED_SUFFIX, logical_path, parse_name, parse_uuid
from rollout.files.text import storable_text
from state.db.steps import Steps
from state.errors import (
    ID_CHARACTERS,
    POSITION,
    SHORTEST_PREFIX,
    AmbiguousThread,
    ThreadUnreadable,
)
from state.query.listing import key_steps, short_id_steps
from state.query.model import Query
from state.query.rows import Row, rows_steps

_MOST: Final = 100


def is_id_prefix(text: str) -> bool:
    """Whether ids are looked for that begin with ``text``, which is in lower case."""
    return len(text) >= SHORTEST_PREFIX and ID_CHARACTERS.issuperset(text)


def resolve_steps(home: Path, reference: str) -> "Steps[list[str]]":
    """The ids of the threads that ``reference`` may mean, at most 100."""
    reference = storable_text(reference)
    if POSITION.fullmatch(reference):
        place = int(reference[1:])
        keys = yield from key_steps(Query(sort_key="recency_at"), None, place)
        return [id_ for _, id_, _ in keys[place - 1 :]]
    conditions: list[tuple[str, Sequence[str]]] = []
    if exact := parse_uuid(reference):
        conditions.append(("id = ?", [exact]))
    else:
        if is_id_prefix(prefix := reference.lower()):
            conditions.append(("id >= ? AND id < ?", [prefix, f"{prefix}~"]))
        conditions.append(("name = ?", [reference]))
        if paths := _paths(home, reference):
            in_file = "SELECT thread_id FROM rollout_files WHERE path IN (?, ?, ?)"
            conditions.append((f"id IN ({in_file})", paths))
    for condition, parameters in conditions:
        sql = f"SELECT id FROM threads WHERE {condition} ORDER BY id LIMIT {_MOST}"
        if rows := (yield (sql, parameters)):
            return [id_ for (id_,) in rows]
    return []


def thread_steps(home: Path, reference: str) -> "Steps[Row | None]":
    """The row of the one thread that ``reference`` means; None if there is none. Raises
    AmbiguousThread if more than one thread fits."""
    ids = yield from resolve_steps(home, reference)
    if len(ids) > 1:
        raise (yield from ambiguous_steps(reference, ids))
    rows = yield from rows_steps(ids)
    return rows[ids[0]] if ids else None


def ambiguous_steps(reference: str, ids: Sequence[str]) -> "Steps[AmbiguousThread]":
    """The error that ``reference`` means all of these threads, with what tells them apart: those
    used last come first."""
    rows = yield from rows_steps(ids)
    found = sorted(rows.values(), key=lambda row: (row["recency_at_ms"], row["id"]), reverse=True)
    short_ids = yield from short_id_steps([row["id"] for row in found])
    return AmbiguousThread(reference, ids, found, short_ids)


def known_id_steps(home: Path, reference: str, others: Collection[str]) -> "Steps[str | None]":
    """The one id that ``reference`` means by itself or as a prefix or path, among those of threads
    and ``others``; None if there are several or none, or if only a name could be meant."""
    name = parse_name(reference)
    prefix = parse_uuid(reference) or (name.thread_id if name else None) or reference.lower()
    if not is_id_prefix(prefix):
        return None
    ids = set((yield from resolve_steps(home, prefix)))
    ids |= {id_ for id_ in others if id_.startswith(prefix)}
    return ids.pop() if len(ids) == 1 and min(ids).startswith(prefix) else None


def unreadable_file_steps(home: Path, reference: str) -> "Steps[ThreadUnreadable | None]":
    """What is wrong with the file that ``reference`` means and that holds no thread."""
    paths, prefix = _paths(home, reference), reference.lower()
    rows = yield (
        "SELECT path, reason, reason_offset FROM rollout_files WHERE bucket = 'unreadable'"
        " ORDER BY path DESC",
        [],
    )
    for path, reason, offset in rows:
        name = parse_name(path)
        named = (
            len(prefix) >= SHORTEST_PREFIX and name and (name.thread_id or "").startswith(prefix)
        )
        if named or path in paths:
            return ThreadUnreadable(reference, path, reason, offset)
    return None


def path_in_home(home: Path, reference: str) -> str | None:
    """A path as the index has it: relative to the home, if it leads there."""
    for root in (home, home.resolve()):
        for path in (absolute_path(reference), home / reference):
            if path.is_relative_to(root):
                return path.relative_to(root).as_posix()
    return None


def absolute_path(reference: str) -> Path:
    """The absolute path; ``reference`` itself where the current folder has been removed."""
    try:
        return Path(reference).absolute()
    except FileNotFoundError:
        return Path(reference)


def _paths(home: Path, reference: str) -> list[str]:
    """The paths that the file at ``reference`` may have, compressed or not."""
    path = path_in_home(home, reference)
    return [path, logical_path(path), f"{path}{COMPRESSED_SUFFIX}"] if path else []
