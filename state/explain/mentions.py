"""Who else knows of a thread: Codex's database, the names, what users set, its relatives."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.metadata.session_index import NAMES_FILE, Named

_RELATIVES: Final = (
    # (what a row says of the thread it names, that thread, the one it is about)
    ("SELECT thread_id, 'a user set its ' || key, '' FROM user_facts WHERE value IS NOT NULL"),
    "SELECT parent_thread_id, 'it spawned', child_thread_id FROM thread_spawn_edges",
    "SELECT child_thread_id, 'it was spawned by', parent_thread_id FROM thread_spawn_edges",
    "SELECT forked_from_id, 'it was forked into', id FROM threads WHERE forked_from_id <> ''",
    "SELECT parent_thread_id, 'it is the parent of', id FROM threads WHERE parent_thread_id <> ''",
)
_MENTIONS_SQL: Final = " UNION ".join(_RELATIVES)


async def mentions(
    connection: AsyncConnection, names: Mapping[str, Named], id_prefix: str
) -> dict[str, list[str]]:
    """What names and the index say of threads whose id begins so, as clauses by thread id.

    ``names`` are those of ``session_index.jsonl``. The thread itself need not be there.
    """
    found = await connection.exec_driver_sql(
        f"SELECT * FROM ({_MENTIONS_SQL}) WHERE thread_id >= ? AND thread_id < ? ORDER BY 2, 3",
        (id_prefix, id_prefix + "~"),
    )
    said: dict[str, list[str]] = {
        id_: [f"{NAMES_FILE} names it {named.name!r}"]
        for id_, named in names.items()
        if id_.startswith(id_prefix)
    }
    for thread_id, clause, other in map(tuple, found):
        said.setdefault(thread_id, []).append(f"{clause} {other}".rstrip())
    return said
