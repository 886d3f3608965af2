"""Write the full-text index: documents of some text each, and where their messages are.

The trigrams of a document are in ``fulltext_trigrams`` under its number; ``fulltext_documents``
says which messages it is made of. SQLite 3.40 deletes nothing from an FTS5 table without content: a
document that is gone from ``fulltext_documents`` is ignored, and the next rebuild removes its
trigrams.
"""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import orjson

from rollout.files.digest import blake2b
from rollout.files.stamp import FileStamp
from rollout.jsonl.resume import ResumePoint
from rollout.metadata.outcomes import Extracted, Unusable
from rollout.search.documents import Documents, Thread, header_of
from rollout.search.extract import EarlierMessages
from rollout.turns.item_refs import words_of
from state.db.sql import AMONG, Put, listed
from state.fulltext.change_rows import add_changes, forget_changes
from state.fulltext.due import UNREAD, VERSION
from state.rows.resume_points import FULLTEXT, load_resume_points, put_resume_points


def earlier_passes(
    connection: sqlite3.Connection, threads: Sequence[Thread]
) -> dict[int, EarlierMessages]:
    """Where the last pass over threads ended, by row, where a later one may continue: not where the
    rows are not as they were written."""
    known = {thread.row_id: thread for thread in threads}
    keys: dict[int, set[int]] = {}
    for row_id, data in connection.execute(_ITEM_KEYS, [listed(known)]):
        try:
            keys.setdefault(row_id, set()).update(words_of(data))
        except ValueError:
            known.pop(row_id, None)
    points = load_resume_points(connection, FULLTEXT, known)
    found: dict[int, EarlierMessages] = {}
    for row_id, *texts, header_digest, text in connection.execute(_EARLIER, [listed(known)]):
        thread = known[row_id]
        resume = points.get(row_id)
        if resume is None or not resume.guard:
            continue
        try:
            files, digest = tuple(orjson.loads(texts[0])), int(text, 16)
            state = orjson.loads(texts[2])
        except ValueError:
            continue
        # Another name, or a file that was moved: what little is read anew is not worth a rule.
        same = header_digest == _digest(thread.header) and files[-1] == thread.path
        if same and isinstance(state, dict):
            item_keys = frozenset(keys.get(row_id, ()))
            found[row_id] = EarlierMessages(resume, texts[1], files, state, item_keys, digest)
    return found


def store_documents(connection: sqlite3.Connection, read: Sequence[Documents]) -> None:
    """Store the documents of threads in the caller's transaction. Threads that were changed or
    dropped since their rows were read stay pending, or are left out."""
    ids = [each.thread.row_id for each in read]
    now = {row[0]: (row[1], FileStamp(*row[2:])) for row in connection.execute(_NOW, [listed(ids)])}
    read = [each for each in read if each.thread.row_id in now]
    rebuilt = [(each.thread.row_id,) for each in read if not _added(each)]
    connection.executemany("DELETE FROM fulltext_documents WHERE row_id = ?", rebuilt)
    forget_changes(connection, (row_id for (row_id,) in rebuilt))
    add_changes(connection, {each.thread.row_id: each.read.changes for each in read if each.read})
    every = [(each.thread.row_id, document) for each in read for document in each.documents]
    numbered = list(enumerate(every, last_document(connection) + 1))
    connection.executemany(
        "INSERT INTO fulltext_trigrams (rowid, letters) VALUES (?, ?)",
        ((number, document.text) for number, (_, document) in numbered),
    )
    connection.executemany(
        _INSERT_DOCUMENT,
        (
            (number, row_id, document.locations, document.keys, document.item_ids)
            for number, (row_id, document) in numbered
        ),
    )
    for added, statement in ((False, _PUT_THREAD), (True, _PUT_GROWN)):
        statement.rows(connection, (_thread_row(each) for each in read if _added(each) == added))
    points = ((each.thread.row_id, 0, _resume_point(each)) for each in read)
    put_resume_points(connection, FULLTEXT, points)
    unchanged = [
        (thread.row_id,)
        for thread in (each.thread for each in read)
        if (thread.path, thread.stamp) == now[thread.row_id]
    ]
    connection.executemany("DELETE FROM fulltext_pending WHERE row_id = ?", unchanged)


def store_beside(
    connection: sqlite3.Connection, read: Sequence[tuple[Extracted | Unusable, Documents | None]]
) -> None:
    """Store the documents that were made of files in the pass that made their rows, in the same
    transaction: of threads that have none yet, if they show these files, and have the names that
    were expected. The others stay pending."""
    made = {file.metadata.id: each for file, each in read if isinstance(file, Extracted) and each}
    new = []
    for id_, *row in connection.execute(_NEW, [listed(made)]):
        thread = thread_of(row)
        if made[id_].thread._replace(row_id=thread.row_id) == thread:
            new.append(made[id_]._replace(thread=thread))
    store_documents(connection, new)


THREAD: Final = (
    "t.row_id, t.rollout_path, t.size_bytes, t.mtime_ns, t.inode, t.name, t.title,"
    " iif(t.preview = '', t.fallback_preview, t.preview)"
)
"""The columns of ``threads t`` for :func:`thread_of`."""
_NEW: Final = (
    f"SELECT t.id, {THREAD} FROM threads t WHERE t.id {AMONG} AND NOT EXISTS"
    " (SELECT 1 FROM fulltext_threads f WHERE f.row_id = t.row_id)"
)


def thread_of(row: Sequence[Any]) -> Thread:
    """The thread to read that a row is."""
    return Thread(row[0], row[1], FileStamp(*row[2:5]), header_of(*row[5:]))


def last_document(connection: sqlite3.Connection) -> int:
    """The highest number that was given to a document."""
    sql = "SELECT seq FROM sqlite_sequence WHERE name = 'fulltext_documents'"
    last: tuple[int] | None = connection.execute(sql).fetchone()
    return last[0] if last else 0


_ITEM_KEYS: Final = (
    f"SELECT row_id, item_keys FROM fulltext_documents WHERE row_id {AMONG}"
    " AND length(item_keys) > 0"
)
_EARLIER: Final = (
    "SELECT row_id, files, mode, state, header_digest, digest FROM fulltext_threads"
    f" WHERE row_id {AMONG} AND version = {VERSION}"
)
_NOW: Final = (
    f"SELECT row_id, rollout_path, size_bytes, mtime_ns, inode FROM threads WHERE row_id {AMONG}"
)
_INSERT_DOCUMENT: Final = (
    "INSERT INTO fulltext_documents (document_id, row_id, locations, item_keys, item_ids)"
    " VALUES (?, ?, ?, ?, ?)"
)
_PUT_THREAD: Final = Put("fulltext_threads")
_PUT_GROWN: Final = Put("fulltext_threads", "header")
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
