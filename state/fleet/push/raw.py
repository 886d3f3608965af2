"""The level *raw*: the rollouts of threads, in pieces that are sent once.

A piece is stored under its thread and its digest, so that nobody has to know who else refers to it.
Pieces go first, in transactions of their own: they harm nobody if a kill comes before the manifest
that names them, and are not sent again after it. The manifests go with the rows of their threads,
and so do pieces that no manifest names any more.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from rollout.errors import SHORTAGES
from rollout.files.layout import parse_uuid
from rollout.pieces.cutting import cut
from rollout.pieces.joining import compressed
from rollout.pieces.manifest import BadPiece, Manifest, Piece
from state.db.sql import AMONG, listed
from state.db.steps import Steps
from state.fleet.server.pieces import COUNTS, of_threads, stored_digest
from state.thread_index import ThreadIndex

if TYPE_CHECKING:
    from datetime import date

    import psycopg

    class PushedThread(Protocol):
        """What is needed of a thread that is pushed."""

        @property
        def id(self) -> str: ...

        @property
        def month(self) -> date: ...


_WINDOW_BYTES: Final = 8 * 2**20
_WINDOW_PIECES: Final = 1000
"""So much is read, and sent, at a time."""
_FILES: Final = (
    f"SELECT thread_id, path FROM rollout_files WHERE thread_id {AMONG}"
    " AND bucket IN ('indexed', 'segment') ORDER BY path"
)
_KNOWN: Final = (
    "SELECT path, thread_id, month, size_bytes, mtime_ns, pieces FROM threadkeep.rollouts"
    " WHERE thread_id = ANY(%s) OR path = ANY(%s)"
)
_THERE: Final = (
    "SELECT digest FROM unnest(%s::date[], %s::bytea[]) AS wanted(month, digest)"
    " JOIN threadkeep.pieces USING (month, digest)"
)
_NEW_PIECES: Final = (
    "CREATE TEMPORARY TABLE new_pieces (month date, digest bytea, size integer, data bytea)"
    " ON COMMIT DROP",
    "ALTER TABLE new_pieces ALTER data SET STORAGE EXTERNAL",
)
_PUT_PIECES: Final = (
    "INSERT INTO threadkeep.pieces (month, tenant_id, machine_id, digest, size, data)"
    " SELECT month, threadkeep.my_tenant(), threadkeep.my_machine(), digest, size, data"
    " FROM new_pieces ORDER BY month, digest ON CONFLICT DO NOTHING"
)
_NEW_ROLLOUTS: Final = (
    "CREATE TEMPORARY TABLE new_rollouts (path text, thread_id text, month date, size_bytes bigint,"
    " mtime_ns bigint, pieces bytea) ON COMMIT DROP"
)
_PUT_ROLLOUTS: Final = (
    "INSERT INTO threadkeep.rollouts"
    " (tenant_id, machine_id, path, thread_id, month, size_bytes, mtime_ns, pieces)"
    " SELECT threadkeep.my_tenant(), threadkeep.my_machine(), n.* FROM new_rollouts n"
    " ORDER BY path ON CONFLICT (tenant_id, machine_id, path) DO UPDATE SET"
    " thread_id = excluded.thread_id, month = excluded.month, size_bytes = excluded.size_bytes,"
    " mtime_ns = excluded.mtime_ns, pieces = excluded.pieces"
)
_STILL_THERE: Final = "SELECT count(*) FROM threadkeep.rollouts WHERE path = ANY(%s)"
_REMOVE_ROLLOUTS: Final = (
    "SELECT thread_id, month FROM threadkeep.remove_rollouts(%s::text[], %s::text[])"
)
_REMOVE_UNUSED: Final = "SELECT threadkeep.remove_unused_pieces(%s::text[], %s::date[])"


class _Known(NamedTuple):
    """A rollout as the fleet has it."""

    thread_id: str
    month: "date"
    manifest: Manifest | None
    """None if it cannot be read here."""


class _File(NamedTuple):
    """A rollout to push."""

    thread_id: str
    month: "date"
    path: str
    known: Manifest | None


class _Pushed(NamedTuple):
    month: "date"
    thread_id: str
    piece: Piece
    data: bytes

    @property
    def digest(self) -> bytes:
        return stored_digest(self.thread_id, self.piece)


class RawContent:
    """Sends the rollouts of threads: all files that their histories are in."""

    def __init__(self, index: ThreadIndex) -> None:
        self._index = index
        self._known: dict[str, _Known] = {}
        self._cut: dict[str, tuple[_File, Manifest | None]] = {}
        """By path, the manifests of the files as they are now; None for one that cannot be read."""
        self._incomplete: set[str] = set()
        """Threads that lack pieces which their manifests name."""

    async def prepare(
        self, connection: "psycopg.AsyncConnection[Any]", threads: "Sequence[PushedThread]"
    ) -> None:
        """Send the pieces that the fleet lacks. To be called outside of a transaction, before the
        one of :meth:`send` for the same threads. Raises OSError if the system lacks memory, file
        descriptors or the like."""
        months = {each.id: each.month for each in threads if parse_uuid(each.id) == each.id}
        found = await self._index.database.query(_files_steps([*months]))
        self._known = await _known(connection, [*months], [path for _, path in found])
        self._cut = {}
        moved = {
            (known.thread_id, known.month, _name(path)): known.manifest
            for path, known in self._known.items()
        }
        files = []
        for thread_id, path in found:
            month, known = months[thread_id], self._known.get(path)
            if known is None or known[:2] != (thread_id, month):
                manifest = moved.get((thread_id, month, _name(path)))
            else:
                manifest = known.manifest
            if thread_id in self._incomplete:
                manifest = None
            files.append(_File(thread_id, month, path, manifest))
        pieces = self._pieces(files)
        run = self._index.database.workers.run
        while window := await run(partial(_window, pieces)):
            await self._send_pieces(connection, window)

    async def send(
        self, connection: "psycopg.AsyncConnection[Any]", threads: "Sequence[PushedThread]"
    ) -> None:
        """Send the manifests of the threads that were prepared, in the transaction of their rows,
        and remove what is not needed any more. If manifests or pieces are gone that were there,
        this fails as two transactions that collide, and both are to be done again."""
        ids = {each.id for each in threads}
        there = {path for path, known in self._known.items() if known.thread_id in ids}
        gone = [path for path in there if path not in self._cut]
        changed = [
            (path, file, manifest)
            for path, (file, manifest) in self._cut.items()
            if manifest is not None
            if file.thread_id in ids and _is_new(self._known.get(path), file, manifest)
        ]
        if gone:
            await connection.execute(_REMOVE_ROLLOUTS, [gone, []])
        if changed:
            await connection.execute(_NEW_ROLLOUTS)
            async with connection.cursor().copy("COPY new_rollouts FROM STDIN") as copy:
                for path, file, manifest in changed:
                    data = (manifest.size, manifest.mtime_ns, manifest.encoded())
                    await copy.write_row((path, file.thread_id, file.month, *data))
            await connection.execute(_PUT_ROLLOUTS)
        touched = {(file.thread_id, file.month) for _, file, _ in changed}
        for path in (*gone, *(path for path, *_ in changed)):
            if known := self._known.get(path):
                touched.add((known.thread_id, known.month))
        await _remove_unused(connection, touched)
        await self._check(connection, {(file.thread_id, file.month) for _, file, _ in changed})
        await _check_there(connection, there.difference(gone, (path for path, *_ in changed)))

    async def _check(
        self, connection: "psycopg.AsyncConnection[Any]", of: "set[tuple[str, date]]"
    ) -> None:
        """Check that all pieces are there which the manifests of threads name, each with a month:
        an administrator may have removed some that nobody named before."""
        named: dict[tuple[str, date], set[bytes]] = {each: set() for each in of}
        for path, (file, manifest) in self._cut.items():
            known = self._known.get(path)
            manifest = manifest or (known and known.manifest)
            if manifest and (file.thread_id, file.month) in named:
                digests = (piece.digest for piece in manifest.pieces)
                named[file.thread_id, file.month].update(digests)
        if not of:
            return
        counted = await connection.execute(COUNTS, of_threads(of))
        lacking = {
            thread_id
            for thread_id, month, count in await counted.fetchall()
            if count != len(named[thread_id, month])
        }
        self._incomplete = lacking
        if lacking:
            raise _removed("pieces of rollouts")

    def _pieces(self, files: Sequence[_File]) -> Iterator[_Pushed]:
        """The pieces of files that their known manifests do not have."""
        for file in files:
            self._cut[file.path] = (file, None)
            cutting = cut(self._index.home / file.path, file.known)
            while True:
                try:
                    piece, data = next(cutting)
                except StopIteration as ended:
                    self._cut[file.path] = (file, ended.value)
                    break
                except OSError as error:
                    if error.errno in SHORTAGES:
                        raise
                    break  # gone, or without permission: the next sync will see that
                yield _Pushed(file.month, file.thread_id, piece, data)

    async def _send_pieces(
        self, connection: "psycopg.AsyncConnection[Any]", window: list[_Pushed]
    ) -> None:
        named = {each.digest: each for each in window}
        months = [each.month for each in named.values()]
        there = await connection.execute(_THERE, [months, [*named]], binary=True)
        for (digest,) in await there.fetchall():
            named.pop(digest, None)
        if not named:
            return
        async with connection.transaction():
            for statement in _NEW_PIECES:
                await connection.execute(statement)
            async with connection.cursor().copy(
                "COPY new_pieces FROM STDIN (FORMAT binary)"
            ) as copy:
                copy.set_types(["date", "bytea", "int4", "bytea"])
                for digest, each in named.items():
                    data = await self._index.database.workers.run(partial(compressed, each.data))
                    await copy.write_row((each.month, digest, each.piece.size, data))
            await connection.execute(_PUT_PIECES)


async def _check_there(connection: "psycopg.AsyncConnection[Any]", paths: "set[str]") -> None:
    """Check that the fleet still has manifests that are not sent again: an administrator may have
    removed them since it was asked."""
    if paths:
        found = await (await connection.execute(_STILL_THERE, [[*paths]])).fetchone()
        if found != (len(paths),):
            raise _removed("rollouts")


def _removed(what: str) -> Exception:
    from psycopg.errors import SerializationFailure

    return SerializationFailure(f"{what} were removed meanwhile")


async def forget(connection: "psycopg.AsyncConnection[Any]", thread_ids: Sequence[str]) -> None:
    """Remove all rollouts of threads, with their pieces, in the caller's transaction."""
    rows = await connection.execute(_REMOVE_ROLLOUTS, [[], [*thread_ids]])
    await _remove_unused(connection, set(await rows.fetchall()))


async def _remove_unused(
    connection: "psycopg.AsyncConnection[Any]", of: "set[tuple[str, date]]"
) -> None:
    """Remove the pieces of threads, each with a month, that no manifest names."""
    if of:
        await connection.execute(_REMOVE_UNUSED, [*map(list, zip(*sorted(of), strict=True))])


async def _known(
    connection: "psycopg.AsyncConnection[Any]", thread_ids: Sequence[str], paths: Sequence[str]
) -> dict[str, _Known]:
    """What the fleet has of threads and files, by path."""
    found: dict[str, _Known] = {}
    rows = await connection.execute(_KNOWN, [[*thread_ids], [*paths]], binary=True)
    async for path, thread_id, month, size, mtime_ns, data in rows:
        manifest = None
        with suppress(BadPiece):  # a newer version has pushed it
            manifest = Manifest.decoded(size, mtime_ns, data)
        found[path] = _Known(thread_id, month, manifest)
    return found


def _files_steps(thread_ids: Sequence[str]) -> Steps[list[tuple[str, str]]]:
    return [tuple(row) for row in (yield _FILES, [listed(thread_ids)])]


def _is_new(known: _Known | None, file: _File, manifest: Manifest) -> bool:
    return known is None or known != (file.thread_id, file.month, manifest)


def _name(path: str) -> str:
    """What stays of a path when its file is moved."""
    return path.rpartition("/")[2]


def _window(pieces: Iterator[_Pushed]) -> list[_Pushed]:
    """The next pieces to send together; empty at the end."""
    found: list[_Pushed] = []
    size = 0
    while size < _WINDOW_BYTES and len(found) < _WINDOW_PIECES:
        piece = next(pieces, None)
        if piece is None:
            break
        found.append(piece)
        size += piece.piece.size
    return found
