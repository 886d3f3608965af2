"""Resolve a reference that may fit no thread of the index: a file, or an id that is only mentioned
in names, user data or other threads."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rollout.files.layout import (
    COMPRESSED_SUFFIX,
    ROOTS,
    logical_path,
    parse_name,
    parse_uuid,
    thread_id_in_name,
)
from rollout.metadata.session_index import NAMES_FILE, ThreadName
from state.codex.lookup import CodexLookup
from state.db.derived_columns import searchable
from state.db.steps import Steps, select_steps
from state.query.resolve import absolute_path, is_id_prefix, path_in_home
from state.rows.ledger import Changes
from state.thread_index import ThreadIndex

NO_THREAD: Final = ("unreadable", "ignored")
"""The buckets of files that hold no thread."""
_UNREAD: Final = f"SELECT path FROM rollout_files WHERE bucket IN {NO_THREAD}"
_MOST_SIMILAR: Final = 5
_MOST_DIFFERING: Final = 2
_SHORTEST_TEXT: Final = 3
_RELATIVES: Final = (
    # (the thread that is mentioned, a clause, the other thread)
    "SELECT thread_id, 'a user set its ' || key, '' FROM user_data WHERE value IS NOT NULL",
    "SELECT parent_thread_id, 'it spawned', child_thread_id FROM thread_spawn_edges",
    "SELECT child_thread_id, 'it was spawned by', parent_thread_id FROM thread_spawn_edges",
    "SELECT forked_from_id, 'it was forked into', id FROM threads WHERE forked_from_id <> ''",
    "SELECT parent_thread_id, 'it is the parent of', id FROM threads WHERE parent_thread_id <> ''",
)
_MENTIONS_SQL: Final = " UNION ".join(_RELATIVES)


def file_at(home: Path, reference: str) -> str | None:
    """The file at a path, relative to the home if it is in it or a link leads there."""
    for base in (str(absolute_path(reference)), f"{home}/{reference}"):
        for path in (base, logical_path(base), base + COMPRESSED_SUFFIX):
            if os.path.lexists(path) and (parse_name(Path(path).name) or os.path.isfile(path)):
                return path_in_home(home, path) or _where_links_lead(home, path) or path
    return None


def _where_links_lead(home: Path, path: str) -> str | None:
    real = os.path.realpath(path)
    for root in ROOTS:  # which may be links themselves, to another drive
        folder = os.path.realpath(home / root)
        if real.startswith(f"{folder}/"):
            return root + real[len(folder) :]
    return None


async def ids_without_row(
    index: ThreadIndex,
    changes: Changes,
    names: Mapping[str, ThreadName],
    codex: CodexLookup,
    reference: str,
) -> list[str]:
    """Threads without a row that fit the reference: in new files, Codex's database, mentions."""
    name = parse_name(reference)
    exact = parse_uuid(reference) or (name.thread_id if name else None)
    prefix = exact or reference.lower()
    ids = {id_ for id_, named in names.items() if named.name == reference}
    if not ids and is_id_prefix(prefix):
        ids |= set(await index.database.query(mentions_steps(names, prefix)))
        unread = await index.database.query(select_steps(_UNREAD))
        paths = [path for (path,) in unread]
        paths += [file.path for file in (*changes.to_read, *changes.ignored)]
        ids |= {id_ for id_ in map(thread_id_in_name, paths) if id_ and id_.startswith(prefix)}
        ids |= {id_ for id_ in codex.rows if id_.startswith(prefix)}
    return sorted(ids)


async def misnamed_file(index: ThreadIndex, reference: str) -> str | None:
    """A file that has the id in its name but holds another thread."""
    thread_id = parse_uuid(reference)
    if thread_id is None:
        return None
    sql = "SELECT path FROM rollout_files WHERE instr(path, ?) AND thread_id NOT NULL LIMIT 1"
    found = await index.database.query(select_steps(sql, [thread_id]))
    return found[0][0] if found else None


async def similar_threads(index: ThreadIndex, reference: str) -> list[str]:
    """Threads that the reference may have meant, by a text in their title or a mistyped id."""
    if len(reference.strip()) < _SHORTEST_TEXT:
        return []
    return await index.database.query(_similar_steps(reference))


def _similar_steps(reference: str) -> Steps[list[str]]:
    titled = yield (
        "SELECT id FROM threads WHERE instr(search_text, ?) ORDER BY updated_at_ms DESC LIMIT ?",
        [searchable(reference), _MOST_SIMILAR],
    )
    found = [id_ for (id_,) in titled]
    if not found and parse_uuid(reference):
        ids = yield "SELECT id FROM threads ORDER BY id", []
        pairs = ((id_, zip(id_, reference.lower(), strict=False)) for (id_,) in ids)
        found = [id_ for id_, pair in pairs if sum(a != b for a, b in pair) <= _MOST_DIFFERING]
    return found[:_MOST_SIMILAR]


def mentions_steps(names: Mapping[str, ThreadName], id_prefix: str) -> Steps[dict[str, list[str]]]:
    """The mentions of threads whose id begins with ``id_prefix``, as clauses by thread id. The
    threads themselves may be missing. ``names`` are those of ``session_index.jsonl``."""
    found = yield (
        f"SELECT * FROM ({_MENTIONS_SQL}) WHERE thread_id >= ? AND thread_id < ? ORDER BY 2, 3",
        (id_prefix, id_prefix + "~"),
    )
    clauses: dict[str, list[str]] = {
        id_: [f"{NAMES_FILE} names it {named.name!r}"]
        for id_, named in names.items()
        if id_.startswith(id_prefix)
    }
    for thread_id, clause, other in found:
        clauses.setdefault(thread_id, []).append(f"{clause} {other}".rstrip())
    return clauses
