"""What was said in a thread as documents of some text each, for an index of their letters."""

import sys
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rollout.errors import HistoryUnknown
from rollout.files.stamp import FileStamp
from rollout.history.segments import Find
from rollout.search.extract import EarlierMessages, Spoken, read_spoken
from rollout.search.messages import Message, digest_of, sum_of
from rollout.search.normalize import fold, letters

DOC_LETTERS: Final = 8192
"""A document ends when it has so many. In larger ones each trigram is kept fewer times, but more
text has to be read to find one (measured: docs/benchmarks.md)."""
_FILE_SHIFT: Final = 48
_OFFSET: Final = (1 << _FILE_SHIFT) - 1


class Thread(NamedTuple):
    """A thread that is to be read, as its row has it."""

    row_id: int
    path: str
    stamp: FileStamp
    head: str
    """What it is called, see :func:`head_of`."""


class Doc(NamedTuple):
    """A document."""

    letters: str
    places: bytes
    """Where its messages are, see :func:`places_of`; empty for the head of a thread."""
    keys: bytes


class Documents(NamedTuple):
    """What a thread came to."""

    thread: Thread
    spoken: Spoken | None
    """Without the messages; None if the thread has none that can be shown."""
    head: str
    """What the thread is called and no message says; of no meaning if messages were added."""
    docs: list[Doc]
    digest: int = 0
    """Of all messages, see :func:`rollout.search.messages.digest_of`."""


class BaseNeeded(Exception):
    """The history begins in another file, which is not to be found here."""


def head_of(name: str | None, title: str, preview: str) -> str:
    """What a thread is called: its name, title and preview, with a NUL between them."""
    parts = (part.replace("\0", " ") for part in (name, title, preview) if part)
    return "\0".join(dict.fromkeys(parts))


def read_documents(
    home: Path, thread: Thread, earlier: EarlierMessages | None, find: Find
) -> Documents:
    """The documents of a thread, or those that were added since ``earlier``."""
    try:
        spoken = read_spoken(home, thread.path, find, earlier)
    except (HistoryUnknown, OSError):
        # Whatever ails the file, sync and verify tell; the thread is found by its name.
        return Documents(thread, None, thread.head, _docs((), thread.head))
    messages, spoken = spoken.messages, spoken._replace(messages=[])
    digest = digest_of(messages)
    if spoken.added and earlier is not None:
        digest = sum_of(earlier.digest, digest)
        return Documents(thread, spoken, "", _docs(messages, ""), digest)
    head = _besides(thread.head, messages)
    return Documents(thread, spoken, head, _docs(messages, head), digest)


def read_many(
    home: str, items: Sequence[tuple[Thread, EarlierMessages | None]]
) -> list[Documents | tuple[Thread, EarlierMessages | None]]:
    """The documents of some threads, in a process of its own; an item itself where another file
    is needed, which only whoever has the index can find."""
    found: list[Documents | tuple[Thread, EarlierMessages | None]] = []
    for item in items:
        try:
            found.append(read_documents(Path(home), *item, _not_here))
        except BaseNeeded:
            found.append(item)
    return found


class Messages(NamedTuple):
    """What tells the messages of a thread from others."""

    path: str
    stamp: FileStamp | None
    """Of the thread's file; None if it has none to show."""
    digest: int
    """See :func:`rollout.search.messages.digest_of`."""


def digests(home: str, paths: Sequence[str]) -> list[Messages | str]:
    """The messages of the threads whose files are at ``paths``, relative to the home, in a process
    of its own; a path itself where another file is needed."""
    found: list[Messages | str] = []
    for path in paths:
        try:
            found.append(read_digest(Path(home), path, _not_here))
        except BaseNeeded:
            found.append(path)
    return found


def read_digest(home: Path, path: str, find: Find) -> Messages:
    """The messages of the thread whose file is at ``path``, relative to the home."""
    try:
        spoken = read_spoken(home, path, find)
    except (HistoryUnknown, OSError):
        return Messages(path, None, 0)
    return Messages(path, spoken.resume.stamp, digest_of(spoken.messages))


def _not_here(rollout_id: str) -> Path | None:
    raise BaseNeeded(rollout_id)


def _besides(head: str, messages: Sequence[Message]) -> str:
    """What of the head is not in a message: titles and previews usually are."""
    return "\0".join(
        part for part in head.split("\0") if not any(part in said.text for said in messages)
    )


def _docs(messages: Sequence[Message], head: str) -> list[Doc]:
    """The first one, if there is a head, has that alone."""
    docs = [Doc(letters(fold(head)), b"", b"")] if head else []
    group: list[Message] = []
    texts: list[str] = []
    size = 0
    for message in messages:
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


def words_of(data: bytes) -> "array[int]":
    """The numbers in a stored text of them."""
    words = array("Q")
    words.frombytes(data)
    if sys.byteorder == "big":
        words.byteswap()
    return words


def places_of(data: bytes) -> list[tuple[int, int]]:
    """The file and offset of each message of a document."""
    return [(word >> _FILE_SHIFT, word & _OFFSET) for word in words_of(data)]
