"""The messages of a thread as documents for the full-text index."""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from rollout.errors import SHORTAGES, HistoryUnknown
from rollout.files.stamp import NO_STAMP, FileStamp
from rollout.history.segments import Find
from rollout.jsonl.parse import compact_json
from rollout.search.changed_files import digest_of_changes
from rollout.search.extract import EarlierMessages, ThreadMessages, read_thread_messages
from rollout.search.messages import Location, Message, digest_of, sum_of
from rollout.search.normalize import casefold, normalize
from rollout.turns.item_refs import words_of, words_to_bytes

DOCUMENT_LENGTH: Final = 8192
"""A document ends when it has so many characters. In larger ones each trigram is kept fewer times,
but more text has to be read to find one (measured: docs/benchmarks.md)."""
_FILE_SHIFT: Final = 48
_OFFSET: Final = (1 << _FILE_SHIFT) - 1


class Thread(NamedTuple):
    """A thread to read, from its row."""

    row_id: int
    path: str
    stamp: FileStamp
    header: str
    """See :func:`header_of`."""


class Document(NamedTuple):
    """Some messages of a thread, or its header."""

    text: str
    """Normalized."""
    locations: bytes
    """Where its messages are, see :func:`locations_of`; empty for the header of a thread."""
    keys: bytes
    item_ids: str
    """JSON: of each turn its id and those of its messages. Empty in paginated threads, where the
    lines have them."""


class Documents(NamedTuple):
    """The documents of a thread."""

    thread: Thread
    read: ThreadMessages | None
    """Without the messages; None if the thread has no history that can be shown."""
    header: str
    """The part of the header that is in no message; unused if messages were added."""
    documents: list[Document]
    digest: int = 0
    """Of all messages, see :func:`rollout.search.messages.digest_of`."""
    problem: str = ""
    """Why the thread has nothing but its header here; empty otherwise."""
    refused: str = ""
    """The file that could not be read, relative to the home, if that is the problem: another time
    it may be read, with nothing in it changed."""


class OtherFileNeeded(Exception):
    """The history begins in another file, which is not found here."""


def header_of(name: str | None, title: str, preview: str) -> str:
    """The header text of a thread: its name, title and preview, with a NUL between them."""
    parts = (part.replace("\0", " ") for part in (name, title, preview) if part)
    return "\0".join(dict.fromkeys(parts))


def read_documents(
    home: Path, thread: Thread, earlier: EarlierMessages | None, find: Find
) -> Documents:
    """The documents of a thread, or those that were added since ``earlier``. A thread whose file
    cannot be read has its header alone, and is found by that. Raises OSError if the system lacks
    memory, file descriptors or the like."""
    try:
        read = read_thread_messages(home, thread.path, find, earlier)
    except HistoryUnknown as error:
        return _only_header(thread, error)
    except OSError as error:
        if error.errno in SHORTAGES:
            raise
        refused = error.filename if isinstance(error.filename, str) else home / thread.path
        return _only_header(thread, error, os.path.relpath(refused, home))
    return documents_of(thread, read, earlier)


def documents_of(
    thread: Thread, read: ThreadMessages, earlier: EarlierMessages | None = None
) -> Documents:
    """The documents of what was read of a thread."""
    messages, read = read.messages, read._replace(messages=[])
    digest = digest_of(messages)
    if read.added and earlier is not None:
        digest = sum_of(earlier.digest, digest)
        return Documents(thread, read, "", _documents(messages, ""), digest)
    header = not_in_messages(thread.header, messages)
    return Documents(thread, read, header, _documents(messages, header), digest)


def _only_header(thread: Thread, error: Exception, refused: str = "") -> Documents:
    documents = _documents((), thread.header)
    return Documents(thread, None, thread.header, documents, problem=str(error), refused=refused)


def read_many(
    home: str, items: Sequence[tuple[Thread, EarlierMessages | None]]
) -> list[Documents | tuple[Thread, EarlierMessages | None]]:
    """The documents of some threads, in a process of its own; an item itself where another file
    is needed, which only whoever has the index can find."""
    found: list[Documents | tuple[Thread, EarlierMessages | None]] = []
    root = Path(home)
    for item in items:
        try:
            found.append(read_documents(root, *item, _not_here))
        except OtherFileNeeded:
            found.append(item)
    return found


class ThreadDigest(NamedTuple):
    """Digests of what the index holds of a thread."""

    path: str
    stamp: FileStamp | None
    """Of the thread's file; None if it has none to show, and that of no file if one that it needs
    cannot be read."""
    messages: int
    """See :func:`rollout.search.messages.digest_of`."""
    changes: int
    """See :func:`rollout.search.changed_files.digest_of_changes`."""


def digests(home: str, paths: Sequence[str]) -> list[ThreadDigest | str]:
    """The digests of the threads whose files are at ``paths``, relative to the home, in a process
    of its own; a path itself where another file is needed."""
    found: list[ThreadDigest | str] = []
    for path in paths:
        try:
            found.append(read_digest(Path(home), path, _not_here))
        except OtherFileNeeded:
            found.append(path)
    return found


def read_digest(home: Path, path: str, find: Find) -> ThreadDigest:
    """The digests of the thread whose file is at ``path``, relative to the home."""
    try:
        read = read_thread_messages(home, path, find)
    except HistoryUnknown:
        return ThreadDigest(path, None, 0, 0)
    except OSError:
        return ThreadDigest(path, NO_STAMP, 0, 0)
    changes = digest_of_changes((each.path, each.file, each.offset) for each in read.changes)
    return ThreadDigest(path, read.resume.stamp, digest_of(read.messages), changes)


def _not_here(rollout_id: str) -> Path | None:
    raise OtherFileNeeded(rollout_id)


def not_in_messages(header: str, messages: Sequence[Message]) -> str:
    """The part of the header that is in no message: titles and previews usually are in one."""
    return "\0".join(
        part for part in header.split("\0") if not any(part in each.text for each in messages)
    )


def grouped(messages: Iterable[Message]) -> Iterator[tuple[str, list[Message]]]:
    """The messages of each document, with its text, normalized."""
    group: list[Message] = []
    texts: list[str] = []
    size = 0
    for message in messages:
        text = normalize(casefold(message.text))
        group.append(message)
        texts.append(text)
        size += len(text)
        if size >= DOCUMENT_LENGTH:
            yield "".join(texts), group
            group, texts, size = [], [], 0
    if group:
        yield "".join(texts), group


def _documents(messages: Sequence[Message], header: str) -> list[Document]:
    """The first one, if there is a header, has that alone."""
    found = [Document(normalize(casefold(header)), b"", b"", "")] if header else []
    found += (_document(text, group) for text, group in grouped(messages))
    return found


def _document(text: str, messages: Sequence[Message]) -> Document:
    locations = array("Q", (location_word(each.file, each.offset) for each in messages))
    keys = array("Q", (message.key for message in messages if message.key))
    return Document(
        text,
        words_to_bytes(locations),
        words_to_bytes(keys),
        "" if keys else _ids(messages),
    )


def location_word(file: int, offset: int) -> int:
    """A line of one of a thread's files in one number."""
    return file << _FILE_SHIFT | offset


def lines_of(data: bytes) -> Iterator[tuple[int, int]]:
    """The lines that some of these numbers stand for. Raises ValueError if they are not as they
    were written."""
    return ((word >> _FILE_SHIFT, word & _OFFSET) for word in words_of(data))


def _ids(messages: Sequence[Message]) -> str:
    turns: list[list[str]] = []
    for message in messages:
        if not turns or turns[-1][0] != message.turn_id:
            turns.append([message.turn_id])
        turns[-1].append(message.item_id)
    return compact_json(turns) or ""


def locations_of(data: bytes, item_ids: str) -> list[Location]:
    """The locations of the messages of a document. Raises ValueError if they are not as they were
    written."""
    lines = lines_of(data)
    if not item_ids:
        return [Location(*line) for line in lines]
    ids = [(turn_id, id_) for turn_id, *rest in orjson.loads(item_ids) for id_ in rest]
    return [Location(*line, *own) for line, own in zip(lines, ids, strict=True)]
