"""Write the full-text index: documents of some text each, and where their messages are.

The trigrams of a document are in ``fulltext_trigrams`` under its number; ``fulltext_documents``
says which messages it is made of. SQLite 3.40 deletes nothing from an FTS5 table without content: a
document that is gone from ``fulltext_documents`` is ignored, and the next rebuild removes its
trigrams.
"""

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.files.stamp import FileStamp
from rollout.history.item_refs import words_of
from rollout.jsonl.resume import ResumePoint
from rollout.search.documents import Documents, Thread
from rollout.search.extract import EarlierMessages
from state.db.schema import fulltext_documents, fulltext_pending, fulltext_threads, threads
from state.db.sql import among, execute_many, upsert_statement
from state.fulltext.due import UNREAD, VERSION
from state.sync.resume_points import FULLTEXT, load_resume_points, put_resume_points


async def earlier_passes(
    connection: AsyncConnection, threads: Sequence[Thread]
) -> dict[int, EarlierMessages]:
    """Where the last pass over threads ended, by row, where a later one may continue: not where the
    rows are not as they were written."""
    known = {thread.row_id: thread for thread in threads}
    keys: dict[int, set[int]] = {}
    c = fulltext_documents.c
    for row_id, data in await connection.execute(
        sa.select(c.row_id, c.item_keys).where(
            among(c.row_id, known), sa.func.length(c.item_keys) > 0
        )
    ):
        try:
            keys.setdefault(row_id, set()).update(words_of(data))
        except ValueError:
            known.pop(row_id, None)
    points = await load_resume_points(connection, FULLTEXT, known)
    found: dict[int, EarlierMessages] = {}
    asked = sa.select(fulltext_threads).where(among(fulltext_threads.c.row_id, known))
    for row in await connection.execute(asked):
        thread = known.get(row.row_id)
        resume = points.get(row.row_id)
        if thread is None or resume is None or not resume.guard or row.version != VERSION:
            continue
        try:
            files, digest = tuple(orjson.loads(row.files)), int(row.digest, 16)
            state = orjson.loads(row.state)
        except ValueError:
            continue
        # Another name, or a file that was moved: what little is read anew is not worth a rule.
        same = row.header_digest == _digest(thread.header) and files[-1] == thread.path
        if same and isinstance(state, dict):
            item_keys = frozenset(keys.get(row.row_id, ()))
            found[row.row_id] = EarlierMessages(resume, row.mode, files, state, item_keys, digest)
    return found


async def store_documents(connection: AsyncConnection, read: Sequence[Documents]) -> None:
    """Store the documents of threads in the caller's transaction. Threads that were changed or
    dropped since their rows were read stay pending, or are left out."""
    c = threads.c
    ids = [each.thread.row_id for each in read]
    asked = sa.select(c.row_id, c.rollout_path, c.size_bytes, c.mtime_ns, c.inode).where(
        among(c.row_id, ids)
    )
    now = {row[0]: (row[1], FileStamp(*row[2:])) for row in await connection.execute(asked)}
    read = [each for each in read if each.thread.row_id in now]
    rebuilt = [each.thread.row_id for each in read if not _added(each)]
    await connection.execute(
        sa.delete(fulltext_documents).where(among(fulltext_documents.c.row_id, rebuilt))
    )
    last = await connection.exec_driver_sql(
        "SELECT seq FROM sqlite_sequence WHERE name = 'fulltext_documents'"
    )
    number = last.scalar() or 0
    texts: list[tuple[int, str]] = []
    rows: list[dict[str, Any]] = []
    for each in read:
        for document in each.documents:
            number += 1
            texts.append((number, document.text))
            rows.append(
                {
                    "document_id": number,
                    "row_id": each.thread.row_id,
                    "locations": document.locations,
                    "item_keys": document.keys,
                    "item_ids": document.item_ids,
                }
            )
    if texts:
        await connection.exec_driver_sql(
            "INSERT INTO fulltext_trigrams (rowid, letters) VALUES (?, ?)", texts
        )
        await execute_many(connection, _INSERT_DOCUMENT, rows)
    rows = [_thread_row(each) for each in read]
    for added in (False, True):
        some = [row for row, each in zip(rows, read, strict=True) if _added(each) == added]
        if some:
            await execute_many(connection, _UPDATE_GROWN if added else _UPSERT_THREAD, some)
    points = [(each.thread.row_id, 0, _resume_point(each)) for each in read]
    await put_resume_points(connection, FULLTEXT, points)
    unchanged = [
        thread.row_id
        for thread in (each.thread for each in read)
        if (thread.path, thread.stamp) == now[thread.row_id]
    ]
    await connection.execute(
        sa.delete(fulltext_pending).where(among(fulltext_pending.c.row_id, unchanged))
    )


_INSERT_DOCUMENT: Final = insert(fulltext_documents).values(
    dict.fromkeys(fulltext_documents.c.keys())
)
_UPSERT_THREAD: Final = upsert_statement(fulltext_threads)
_UPDATE_GROWN: Final = upsert_statement(fulltext_threads, "header")
"""Where messages were added, the header has not changed."""


def hex_of(digest: int) -> str:
    """A digest of messages as the index has it."""
    return f"{digest:032x}"


def _added(each: Documents) -> bool:
    return each.read is not None and each.read.added


def _digest(header: str) -> str:
    return blake2b(header.encode(), digest_size=8).hexdigest()


def _resume_point(each: Documents) -> ResumePoint:
    return ResumePoint(each.thread.stamp, 0, "") if each.read is None else each.read.resume


def _thread_row(each: Documents) -> dict[str, Any]:
    thread, read = each.thread, each.read
    files = [each.refused or thread.path]
    return {
        "row_id": thread.row_id,
        "files": orjson.dumps(files if read is None else read.files).decode(),
        "mode": "" if read is None else read.mode,
        "state": "{}" if read is None else json.dumps(read.state),
        "header": each.header,
        "header_digest": _digest(thread.header),
        "version": UNREAD if each.refused else VERSION,
        "digest": hex_of(each.digest),
    }
