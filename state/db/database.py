"""Open the index database: its place, pragmas, transactions, pending migrations."""

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from rollout.files.cancellation import check_cancelled, is_cancelled
from state.aio import finished
from state.db.location import HEAD, REVISIONS, on_network_drive
from state.db.lock import locked, mark_index
from state.db.steps import Result, Steps, run_steps
from state.db.translate import BUSY_TIMEOUT_S, translated
from state.errors import (
    SQLITE_ERRORS,
    IndexDamaged,
    IndexNotWritable,
    IndexTooNew,
    IndexUnavailable,
    NotAnIndex,
)
from state.userdata.journal import read_settings
from state.userdata.store import follow_journal, note_journal, put_settings
from state.workers import Workers

_SHORT_PATIENCE_MS: Final = 100
AT_ONCE_S: Final = 0.005
"""How long the event loop may be held up for an answer, in seconds."""
_OPERATIONS: Final = 1_000
"""Between two looks at the clock, in instructions of SQLite's: some 20 microseconds."""
_MANY_OPERATIONS: Final = 100_000
"""Between two looks whether an answer is still wanted: some milliseconds."""
_MOST_READERS: Final = 4
_MOST_WORKERS: Final = 6
"""Threads at a time. What waits costs nothing; each more would want another core."""
_MOST_CONNECTIONS: Final = 4
"""At a time, of SQLAlchemy's; all but one are closed after use. SQLite keeps the descriptors of
closed ones for the next ones, as long as another one is open."""


class Database:
    """An open index database. Make one with :func:`open_database`."""

    def __init__(self, path: Path, engine: AsyncEngine) -> None:
        self.path = path
        self._readers = engine
        self._writers = engine.execution_options(begin="IMMEDIATE")
        self._waits = True
        self._idle: Queue[sqlite3.Connection] = Queue(1)
        self._reading = Workers(_MOST_READERS)
        self.workers = Workers(_MOST_WORKERS)
        """For reading files beside the event loop."""
        self._quick: sqlite3.Connection | None = None
        self._late_at = 0.0
        self._closed = False
        self._uses = 0
        self._unused = asyncio.Event()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        if self._closed:
            raise IndexUnavailable(self.path, "it was closed here")
        self._uses += 1
        try:
            yield
        finally:
            self._uses -= 1
            self._unused.set()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction that sees one state of the index and writes nothing."""
        with self._in_use(), translated(self.path):
            async with self._readers.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction that holds SQLite's one write lock from its first statement.

        Waits up to ``BUSY_TIMEOUT_S`` for another writer. Taking the lock first is what makes
        the wait work: a transaction that reads, then writes, fails at once when another one
        has written in between.

        Raises:
            IndexBusy: another process kept the lock for longer.
        """
        writers = self._writers
        if not self._waits:
            writers = writers.execution_options(patience_ms=_SHORT_PATIENCE_MS)
        with self._in_use(), translated(self.path):
            async with writers.begin() as connection:
                yield connection

    def stop_waiting(self) -> None:
        """Hardly wait for other writers from now on: who has waited in vain once, and goes on
        with what there is, should not again."""
        self._waits = False

    @asynccontextmanager
    async def write_facts(self) -> AsyncGenerator[AsyncConnection]:
        """As :meth:`write`, for what users set: it stands in the journal and in the index before
        an index that is made anew meanwhile takes this one's place, or after. What a killed
        process left in the journal alone is in the index first.

        Raises:
            FileUnusable: the journal cannot be read.
        """
        async with locked(self.path), self.write() as connection:
            await follow_journal(connection, self.path)
            yield connection
            await note_journal(connection, self.path)

    async def query(self, steps: Steps[Result]) -> Result:
        """What the sans-IO query ``steps`` gives, of one state of the index.

        All its statements take one journey to a thread; through ``read`` each would take its
        own, which costs more than the statements do.
        """
        with self._in_use():
            return await self._reading.run(partial(self.query_here, steps))

    def query_here(self, steps: Steps[Result]) -> Result:
        """As :meth:`run`, for who is in a thread already.

        Raises:
            Cancelled: nobody waits for it any more.
        """
        with translated(self.path), self._reader() as connection:
            try:
                connection.execute("BEGIN")
                result = run_steps(steps, connection)
                connection.execute("COMMIT")
            except sqlite3.OperationalError:
                check_cancelled()
                raise
        return result

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        """A connection for this thread alone. One is kept for the next thread, as it knows the
        schema already; it is closed if anything went wrong."""
        if self._closed:
            raise IndexUnavailable(self.path, "it was closed here")
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = sqlite3.connect(
                self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            connection.set_progress_handler(is_cancelled, _MANY_OPERATIONS)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        try:
            self._idle.put_nowait(connection)
        except Full:
            connection.close()
        if self._closed:
            self._close_idle()

    def at_once(self, steps: Steps[Result]) -> Result | None:
        """What :meth:`run` would give, without the journey to a thread, which costs as much as a
        page does; None if it is not there within :data:`AT_ONCE_S`, or somebody has to be
        waited for."""
        if self._closed:
            return None
        if self._quick is None:
            self._quick = sqlite3.connect(self.path, timeout=0, isolation_level=None)
            self._quick.set_progress_handler(self._is_late, _OPERATIONS)
        self._late_at = time.monotonic() + AT_ONCE_S
        try:
            self._quick.execute("BEGIN")
            result = run_steps(steps, self._quick)
            self._quick.execute("COMMIT")
        except SQLITE_ERRORS:
            # Whatever it is, and whether it stays: asked again in a thread, it is told properly.
            self._quick.close()
            self._quick = None
            return None
        return result

    def _is_late(self) -> bool:
        return time.monotonic() > self._late_at

    async def close(self) -> None:
        """Close all connections, when what is under way has come to its end: one that was left
        open would keep its lock, so that nobody could make the index anew."""
        self._closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(BUSY_TIMEOUT_S):
                while self._uses:
                    self._unused.clear()
                    await self._unused.wait()
        await self._readers.dispose()
        self._close_idle()
        if self._quick is not None:
            self._quick.close()

    def _close_idle(self) -> None:
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()


def journal_mode(path: Path) -> str:
    """How SQLite keeps the journal of a database at ``path``: WAL breaks on network drives."""
    return "DELETE" if on_network_drive(path.parent) else "WAL"


@asynccontextmanager
async def open_database(
    path: Path, *, patience_s: float = BUSY_TIMEOUT_S
) -> AsyncGenerator[Database]:
    """The database at ``path``, created and migrated when need be, closed on the way out.

    Raises:
        IndexTooNew: its schema is from a newer program.
        IndexDamaged: the file is no usable database.
        NotAnIndex: it is a database of another program.
        IndexNotWritable: it or its place cannot be written.
        IndexUnavailable: the place cannot be used.
    """
    _prepare_place(path)
    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=str(path)),
        connect_args={"timeout": patience_s, "cached_statements": 256},
        pool_size=1,
        max_overflow=_MOST_CONNECTIONS - 1,
        pool_timeout=None,  # whoever waits too long is cancelled
    )
    journal = journal_mode(path)

    def on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # BEGIN is ours, see _on_begin
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA journal_mode = {journal}")
        cursor.execute("PRAGMA synchronous = NORMAL")  # a lost row is rebuilt from its file
        cursor.execute("PRAGMA foreign_keys = ON")
        # 16 MB: a backfill writes each page of its indexes many times before it is moved.
        cursor.execute("PRAGMA wal_autocheckpoint = 4000")
        cursor.close()

    event.listen(engine.sync_engine, "connect", on_connect)
    event.listen(engine.sync_engine, "begin", _on_begin)
    event.listen(engine.sync_engine, "invalidate", _on_invalidate)
    database = Database(path, engine)
    try:
        async with database.read() as connection:
            current = await connection.run_sync(_is_current, path)
        if not current:
            async with database.write() as connection:
                if await connection.run_sync(_migrate, path):
                    # In the same transaction: an index never misses what users have set. The
                    # journal of an old one may hold what its program did not know.
                    await put_settings(connection, read_settings(path))
                    await note_journal(connection, path)
            path.chmod(0o600)
        mark_index(path)
        yield database
    finally:
        await finished(database.close())


def _migrate(connection: sa.Connection, path: Path) -> bool:
    """Apply what is pending: whether there was anything."""
    if _is_current(connection, path):
        return False  # another process was faster
    from state.db.migrate import upgrade

    try:
        upgrade(connection)
    except DBAPIError as error:
        if getattr(error.orig, "sqlite_errorname", "") != "SQLITE_ERROR":
            raise
        # A table that is there too early, or not there: no state that a migration leaves.
        reason = f"its schema cannot be brought up to date: {error.orig}"
        raise IndexDamaged(path, reason) from error
    return True


def _is_current(connection: sa.Connection, path: Path) -> bool:
    """Whether the schema is at ``HEAD``: one cheap read that does not import Alembic."""
    try:
        revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    except DBAPIError as error:
        if "no such table" in str(error.orig):
            found = connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars()
            tables = set(found)
            if "rollout_files" in tables:
                raise IndexDamaged(path, "its table alembic_version is missing") from None
            if tables:
                raise NotAnIndex(path, "it is a database, but not one of threadkeep's") from None
            return False
        raise
    if revision is not None and revision not in REVISIONS:
        raise IndexTooNew(path, str(revision), HEAD)
    return bool(revision == HEAD)


def _prepare_place(path: Path) -> None:
    if path.is_dir():
        raise IndexUnavailable(path, "it is a directory")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise IndexNotWritable(path, f"{error.strerror}: {error.filename}") from error


def _on_begin(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if "patience_ms" in options:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {options['patience_ms']}")
    mode = options.get("begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


def _on_invalidate(
    connection: DBAPIConnection, _entry: ConnectionPoolEntry, _error: BaseException | None
) -> None:
    # A cancelled statement has SQLAlchemy close its connection. As long as a traceback holds the
    # cursor, SQLite only seems to do so, and keeps the write lock: the next writer waits in vain.
    connection.rollback()


@contextmanager
def room(path: Path, needed: int) -> Iterator[None]:
    """Tell of a full disk at the place of an index how much of it was needed, and was free."""
    free = shutil.disk_usage(path.parent).free
    try:
        yield
    except IndexNotWritable as error:
        if not error.reason.endswith("is full"):
            raise
        told = f"{error.reason}: {needed:,} bytes are needed, {free:,} were free"
        raise IndexNotWritable(path, told) from error
