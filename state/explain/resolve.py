"""Resolve a reference that may fit no thread of the index: a file, or an id that is only mentioned
in names, user data or other threads."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

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
from state.db.schema import rollout_files, threads
from state.query.resolve import absolute_path, is_id_prefix, path_in_home
from state.sync.ledger import Changes
from state.thread_index import ThreadIndex

NO_THREAD: Final = ("unreadable", "ignored")
"""The buckets of files that hold no thread."""
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
        c = rollout_files.c
        unread = sa.select(c.path).where(c.bucket.in_(NO_THREAD))
        async with index.database.read() as connection:
            ids |= set(await mentions(connection, names, prefix))
            paths = list(await connection.scalars(unread))
        paths += [file.path for file in (*changes.to_read, *changes.ignored)]
        ids |= {id_ for id_ in map(thread_id_in_name, paths) if id_ and id_.startswith(prefix)}
        ids |= {id_ for id_ in codex.rows if id_.startswith(prefix)}
    return sorted(ids)


async def misnamed_file(index: ThreadIndex, reference: str) -> str | None:
    """A file that has the id in its name but holds another thread."""
    thread_id, c = parse_uuid(reference), rollout_files.c
    if thread_id is None:
        return None
    async with index.database.read() as connection:
        held = sa.func.instr(c.path, thread_id) & c.thread_id.is_not(None)
        return await connection.scalar(sa.select(c.path).where(held).limit(1))


async def similar_threads(index: ThreadIndex, reference: str) -> list[str]:
    """Threads that the reference may have meant, by a text in their title or a mistyped id."""
    if len(reference.strip()) < _SHORTEST_TEXT:
        return []
    c = threads.c
    held = sa.func.instr(c.search_text, searchable(reference))
    async with index.database.read() as connection:
        titled = await connection.scalars(
            sa.select(c.id).where(held).order_by(c.updated_at_ms.desc()).limit(_MOST_SIMILAR)
        )
        found = list(titled)
        if not found and parse_uuid(reference):
            text = reference.lower()
            ids = await connection.scalars(sa.select(c.id).order_by(c.id))
            pairs = ((id_, zip(id_, text, strict=False)) for id_ in ids)
            found = [id_ for id_, pair in pairs if sum(a != b for a, b in pair) <= _MOST_DIFFERING]
    return found[:_MOST_SIMILAR]


async def mentions(
    connection: AsyncConnection, names: Mapping[str, ThreadName], id_prefix: str
) -> dict[str, list[str]]:
    """The mentions of threads whose id begins with ``id_prefix``, as clauses by thread id. The
    threads themselves may be missing. ``names`` are those of ``session_index.jsonl``."""
    found = await connection.exec_driver_sql(
        f"SELECT * FROM ({_MENTIONS_SQL}) WHERE thread_id >= ? AND thread_id < ? ORDER BY 2, 3",
        (id_prefix, id_prefix + "~"),
    )
    clauses: dict[str, list[str]] = {
        id_: [f"{NAMES_FILE} names it {named.name!r}"]
        for id_, named in names.items()
        if id_.startswith(id_prefix)
    }
    for thread_id, clause, other in map(tuple, found):
        clauses.setdefault(thread_id, []).append(f"{clause} {other}".rstrip())
    return clauses
