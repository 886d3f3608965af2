"""What was said, in the index: documents of some text each, and where their messages are.

A document's trigrams are in ``said_trigrams`` under its number; ``said_docs`` says which messages
it is made of. FTS5 tables without content forget nothing in SQLite 3.40: a document that is gone
from ``said_docs`` does not count, and its trigrams go with the next rebuild.
"""

import sys
from array import array
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from rollout.letters import fold, letters
from rollout.spoken import Earlier, Message, Spoken
from state import rows
from state.schema import said_docs, said_pending, said_threads

VERSION: Final = 1
"""Of the rules by which documents are made; those of another one are made afresh."""
DOC_LETTERS: Final = 8192
"""A document ends when it has so many. In larger ones each trigram is kept fewer times, but more
text has to be read to find one (measured: docs/benchmarks.md)."""
_FILE_SHIFT: Final = 48
_OFFSET: Final = (1 << _FILE_SHIFT) - 1


class Thread(NamedTuple):
    """A thread that is to be read, as its row has it."""

    row_id: int
    path: str
    size: int
    mtime_ns: int
    inode: int
    head: str
    """What it is called: name, title and preview, each on a line of its own."""


class Doc(NamedTuple):
    """A document that is to be stored."""

    letters: str
    places: bytes
    keys: bytes


def head_of(name: str | None, title: str, preview: str) -> str:
    """What a thread is called, each thing once."""
    return "\n".join(dict.fromkeys(part for part in (name, title, preview) if part))


def docs_of(spoken: Spoken | None, head: str) -> list[Doc]:
    """The documents for what was said; the first one, if there is a head, has that alone."""
    docs = [Doc(letters(fold(head)), b"", b"")] if head else []
    group: list[Message] = []
    texts: list[str] = []
    size = 0
    for message in spoken.messages if spoken else ():
        text = letters(fold(message.text))
        group.append(message)
        texts.append(text)
        size += len(text)
        if size >= DOC_LETTERS:
            docs.append(_doc(texts, group))
            group, texts, size = [], [], 0
    if group:
        docs.append(_doc(texts, group))
    return docs


def _doc(texts: Sequence[str], messages: Sequence[Message]) -> Doc:
    places = array("Q", (message.file << _FILE_SHIFT | message.offset for message in messages))
    keys = array("Q", (message.key for message in messages if message.key))
    return Doc("".join(texts), _bytes(places), _bytes(keys))


def _bytes(words: "array[int]") -> bytes:
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()


def _words(data: bytes) -> "array[int]":
    words = array("Q")
    words.frombytes(data)
    if sys.byteorder == "big":
        words.byteswap()
    return words


def places_of(data: bytes) -> list[tuple[int, int]]:
    """The file and offset of each message of a document."""
    return [(word >> _FILE_SHIFT, word & _OFFSET) for word in _words(data)]


async def earlier_readings(
    connection: AsyncConnection, threads: Sequence[Thread]
) -> dict[int, Earlier]:
    """How far threads were read before, by row, where reading may go on."""
    ids = [thread.row_id for thread in threads]
    heads = {thread.row_id: (thread.head, thread.path) for thread in threads}
    keys: dict[int, set[int]] = {}
    c = said_docs.c
    for row_id, data in await connection.execute(
        sa.select(c.row_id, c.keys).where(rows.among(c.row_id, ids), sa.func.length(c.keys) > 0)
    ):
        keys.setdefault(row_id, set()).update(_words(data))
    found: dict[int, Earlier] = {}
    asked = sa.select(said_threads).where(rows.among(said_threads.c.row_id, ids))
    for row in await connection.execute(asked):
        files = tuple(orjson.loads(row.files))
        head, path = heads[row.row_id]
        # Another name, or a file that was moved: what little is read anew is not worth a rule.
        if row.guard and row.version == VERSION and row.head == head and files[-1] == path:
            known = frozenset(keys.get(row.row_id, ()))
            found[row.row_id] = Earlier(
                row.inode, row.mode, files, row.end_offset, row.guard, row.highest, known
            )
    return found


async def store_said(
    connection: AsyncConnection, read: Sequence[tuple[Thread, Spoken | None, list[Doc]]]
) -> None:
    """Store what was said in threads, in the caller's transaction. Threads that were changed or
    dropped since their rows were read stay pending, or are left out."""
    c = rows.threads.c
    ids = [thread.row_id for thread, _, _ in read]
    asked = sa.select(c.row_id, c.rollout_path, c.size_bytes, c.mtime_ns, c.inode).where(
        rows.among(c.row_id, ids)
    )
    now = {row[0]: tuple(row) for row in await connection.execute(asked)}
    read = [each for each in read if each[0].row_id in now]
    afresh = [thread.row_id for thread, said, _ in read if said is None or not said.added]
    await connection.execute(sa.delete(said_docs).where(rows.among(said_docs.c.row_id, afresh)))
    last = await connection.exec_driver_sql(
        "SELECT seq FROM sqlite_sequence WHERE name = 'said_docs'"
    )
    number = last.scalar() or 0
    texts: list[tuple[int, str]] = []
    places: list[dict[str, Any]] = []
    for thread, _, docs in read:
        for doc in docs:
            number += 1
            texts.append((number, doc.letters))
            places.append(
                {
                    "doc_id": number,
                    "row_id": thread.row_id,
                    "places": doc.places,
                    "keys": doc.keys,
                }
            )
    if texts:
        await connection.exec_driver_sql(
            "INSERT INTO said_trigrams (rowid, letters) VALUES (?, ?)", texts
        )
        await rows.execute_many(connection, _INSERT_DOC, places)
    states = [_state(thread, said) for thread, said, _ in read]
    if states:
        await rows.execute_many(connection, _UPSERT_THREAD, states)
    settled = [thread.row_id for thread, _, _ in read if tuple(thread[:5]) == now[thread.row_id]]
    await connection.execute(
        sa.delete(said_pending).where(rows.among(said_pending.c.row_id, settled))
    )


_INSERT_DOC: Final = insert(said_docs).values({column.name: None for column in said_docs.c})
_THREAD: Final = insert(said_threads).values({column.name: None for column in said_threads.c})
_UPSERT_THREAD: Final = _THREAD.on_conflict_do_update(
    index_elements=[said_threads.c.row_id],
    set_={
        column.name: _THREAD.excluded[column.name]
        for column in said_threads.c
        if column.name != "row_id"
    },
)


def _state(thread: Thread, said: Spoken | None) -> dict[str, Any]:
    state: dict[str, Any] = {"row_id": thread.row_id, "head": thread.head, "version": VERSION}
    if said is None:
        nothing = {"inode": thread.inode, "end_offset": 0, "guard": "", "highest": -1}
        return state | nothing | {"files": orjson.dumps([thread.path]).decode(), "mode": ""}
    return state | {
        "files": orjson.dumps(said.files).decode(),
        "mode": said.mode,
        "inode": said.inode,
        "end_offset": said.end_offset,
        "guard": said.guard,
        "highest": said.highest,
    }
