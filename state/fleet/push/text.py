"""The level *text*: the messages and headers of threads, without secrets.

They are sent as documents of some messages each. Messages are added at the end of a thread, so the
documents before the last one stay as they are, and only those with another digest are sent.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from rollout.errors import SHORTAGES, HistoryUnknown
from rollout.history.segments import Find
from rollout.search.documents import Thread, grouped, not_in_messages
from rollout.search.extract import read_thread_messages
from rollout.search.normalize import casefold, normalize
from state.db.sql import AMONG, listed
from state.db.steps import Steps
from state.fleet.server.documents import NAME, Said, digest, packed, plain, spelled
from state.fulltext.store import THREAD, thread_of
from state.rollout_locator import rollout_locator
from state.thread_index import ThreadIndex

if TYPE_CHECKING:
    from datetime import date

    import psycopg

    class PushedThread(Protocol):
        """What is needed of a thread that is pushed."""

        @property
        def id(self) -> str: ...

        @property
        def row_id(self) -> int:
            """The fleet's."""

        @property
        def month(self) -> date: ...


Redact = Callable[[str], str]
"""Gives a text without its secrets."""
_THREADS: Final = f"SELECT t.id, {THREAD} FROM threads t WHERE t.id {AMONG}"
_KNOWN: Final = (
    "SELECT row_id, position, month, digest FROM threadkeep.documents WHERE row_id = ANY(%s)"
)
_NEW: Final = (
    "CREATE TEMPORARY TABLE new_documents (month date, row_id bigint, position integer, text text,"
    " messages bytea, digest text) ON COMMIT DROP"
)
_TYPES: Final = ("date", "int8", "int4", "text", "bytea", "text")
_PUT: Final = (
    "INSERT INTO threadkeep.documents"
    " (month, tenant_id, machine_id, row_id, position, text, messages, digest)"
    " SELECT month, threadkeep.my_tenant(), threadkeep.my_machine(), row_id, position, text,"
    " messages, digest FROM new_documents ORDER BY row_id, position"
)
_REMOVE: Final = "SELECT threadkeep.remove_documents(%s::date[], %s::bigint[], %s::integer[])"


class _Document(NamedTuple):
    text: str
    messages: bytes
    """As they are stored."""
    digest: str


class TextContent:
    """Sends the messages and headers of threads."""

    def __init__(self, index: ThreadIndex, redact: Redact) -> None:
        self._index = index
        self._redact = redact
        self._documents: dict[str, list[_Document]] = {}
        """By thread; those whose files cannot be read now are not in it."""

    async def prepare(
        self, connection: "psycopg.AsyncConnection[Any]", threads: "Sequence[PushedThread]"
    ) -> None:
        """Read the messages of threads, before the transaction of :meth:`send` begins. Raises
        OSError if the system lacks memory, file descriptors or the like."""
        rows = await self._index.database.query(_threads_steps([each.id for each in threads]))
        find = rollout_locator(self._index)
        read = partial(_read, self._index.home, rows, find, self._redact)
        self._documents = await self._index.database.workers.run(read)

    async def send(
        self, connection: "psycopg.AsyncConnection[Any]", threads: "Sequence[PushedThread]"
    ) -> None:
        """Send what has changed of the threads that were prepared, in the transaction of their
        rows. What the fleet has of a thread that cannot be read now, it keeps."""
        known: dict[int, dict[int, tuple[Any, ...]]] = {}
        rows = await connection.execute(_KNOWN, [[each.row_id for each in threads]])
        async for row_id, position, *stored in rows:
            known.setdefault(row_id, {})[position] = tuple(stored)
        gone: list[tuple[date, int, int]] = []
        changed: list[tuple[date, int, int, _Document]] = []
        for thread in threads:
            documents = self._documents.get(thread.id)
            if documents is None:
                continue
            left = known.get(thread.row_id, {})
            for position, document in enumerate(documents):
                if left.get(position) == (thread.month, document.digest):
                    del left[position]
                else:
                    changed.append((thread.month, thread.row_id, position, document))
            gone += ((month, thread.row_id, position) for position, (month, _) in left.items())
        if gone:
            await connection.execute(_REMOVE, [[*column] for column in zip(*gone, strict=True)])
        if changed:
            await connection.execute(_NEW)
            copying = "COPY new_documents FROM STDIN (FORMAT binary)"
            async with connection.cursor().copy(copying) as copy:
                copy.set_types(_TYPES)
                for month, row_id, position, (text, messages, named) in changed:
                    await copy.write_row((month, row_id, position, text, messages, named))
            await connection.execute(_PUT)


def _threads_steps(ids: Sequence[str]) -> Steps[dict[str, Thread]]:
    return {id_: thread_of(row) for id_, *row in (yield _THREADS, [listed(ids)])}


def _read(
    home: Path, threads: Mapping[str, Thread], find: Find, redact: Redact
) -> dict[str, list[_Document]]:
    """The documents of threads, without those that cannot be read now."""
    found = {}
    for id_, thread in threads.items():
        try:
            messages = read_thread_messages(home, thread.path, find).messages
        except HistoryUnknown:  # as in the index: it has its header alone
            messages = []
        except OSError as error:
            if error.errno in SHORTAGES:
                raise
            continue
        for number, message in enumerate(messages):  # in place: a long thread is here once
            messages[number] = message._replace(text=redact(message.text))
        header = "\0".join(map(redact, thread.header.split("\0")))
        found[id_] = [*_header(not_in_messages(header, messages))]
        found[id_] += (
            _document(text, [Said(m.kind, m.turn_id, m.item_id, m.text) for m in group])
            for text, group in grouped(messages)
        )
    return found


def _header(header: str) -> Iterator[_Document]:
    if header:
        parts = [Said(NAME, "", "", part) for part in header.split("\0")]
        yield _document(normalize(casefold(header)), parts)


def _document(text: str, messages: list[Said]) -> _Document:
    made = plain(messages)
    return _Document(spelled(text), packed(made), digest(made))
