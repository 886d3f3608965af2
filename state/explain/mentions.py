"""Where a thread is mentioned besides its files: in the names, user data and other threads."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.metadata.session_index import NAMES_FILE, ThreadName

_RELATIVES: Final = (
    # (the thread that is mentioned, a clause, the other thread)
    "SELECT thread_id, 'a user set its ' || key, '' FROM user_data WHERE value IS NOT NULL",
    "SELECT parent_thread_id, 'it spawned', child_thread_id FROM thread_spawn_edges",
    "SELECT child_thread_id, 'it was spawned by', parent_thread_id FROM thread_spawn_edges",
    "SELECT forked_from_id, 'it was forked into', id FROM threads WHERE forked_from_id <> ''",
    "SELECT parent_thread_id, 'it is the parent of', id FROM threads WHERE parent_thread_id <> ''",
)
_MENTIONS_SQL: Final = " UNION ".join(_RELATIVES)


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
