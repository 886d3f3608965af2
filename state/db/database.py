"""Open the index database: pragmas, transactions, pending migrations."""

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Any, Final, Protocol

from rollout.files.cancellation import check_cancelled, is_cancelled
from state.aio import finished
from state.db.connect import BUSY_TIMEOUT_S, connect, revision_of
from state.db.location import HEAD, on_network_drive
from state.db.lock import mark_index
from state.db.steps import Result, Steps, Work, in_transaction, run_steps
from state.db.translate import translated
from state.errors import SQLITE_ERRORS, IndexDamaged, IndexNotWritable, IndexUnavailable
from state.workers import Workers

if TYPE_CHECKING:
    import aiosqlite

_CLOSED: Final = "this process has closed it"
_GLANCE_S: Final = 0.1
"""How long a writer waits at a time: SQLite's own wait cannot be cut short."""
INLINE_S: Final = 0.005
"""How long an inline read may block the event loop, in seconds."""
_INLINE_OPERATIONS: Final = 1_000
"""How often an inline read looks at the clock, in SQLite's instructions: every 20 microseconds."""
READER_OPERATIONS: Final = 100_000
"""How often a reader looks whether it is cancelled: every few milliseconds."""
_MOST_READERS: Final = 4
_MOST_WRITERS: Final = 4
_MOST_IDLE: Final = 2
"""Connections that are kept open: one that reads while another one writes."""
_MOST_WORKERS: Final = 6
"""Threads at a time. Waiting work costs nothing; each more would want another core."""
_ROWS_AT_A_TIME: Final = 1_000


class Writer(Protocol):
    """Does work in a write transaction; that of a job is guarded by its fence."""

    def __call__(self, work: Work[Result], /) -> Coroutine[Any, Any, Result]: ...


class Database:
    """An open index database. Make one with :func:`open_database`."""

    only_reads = False
    """Whether it is never written here."""
    is_fleet = False
    """Whether it holds copies of the threads of many machines."""

    def __init__(self, path: Path, patience_s: float) -> None:
        self.path = path
        self._patience_s = self._writer_waits_s = patience_s
        self._pragmas = (
            f"journal_mode = {journal_mode(path)}",
            "synchronous = NORMAL",  # a lost row is rebuilt from its file
            "foreign_keys = ON",
            # 16 MB: a backfill writes each page of its indexes many times before it is moved.
            "wal_autocheckpoint = 4000",
        )
        self._idle: Queue[sqlite3.Connection] = Queue(_MOST_IDLE)
        self._reading = Workers(_MOST_READERS)
        self._writing = Workers(_MOST_WRITERS)
        self.workers = Workers(_MOST_WORKERS)
        """For reading files beside the event loop."""
        self._inline: sqlite3.Connection | None = None
        self._inline_until = 0.0
        self._closed = False
        self._uses = 0
        self._unused = asyncio.Event()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        if self._closed:
            raise IndexUnavailable(self.path, _CLOSED)
        self._uses += 1
        try:
            yield
        finally:
            self._uses -= 1
            self._unused.set()

    async def transact(self, work: Work[Result]) -> Result:
        """What ``work`` gives in a transaction that holds SQLite's one write lock from its first
        statement, all of it in one thread. It is rolled back if the work raises, or the caller is
        cancelled before its end.

        Waits up to ``BUSY_TIMEOUT_S`` for another writer. Taking the lock first is what makes
        the wait work: a transaction that reads, then writes, fails at once when another one
        has written in between. Raises IndexBusy if another process kept the lock for longer.
        """
        with self._in_use():
            return await self._writing.run(partial(self._transact_here, work))

    def _transact_here(self, work: Work[Result]) -> Result:
        with translated(self.path), self._connection() as connection:
            _begin(connection, self._writer_waits_s)
            # Where there is no WAL, a commit waits for readers.
            connection.execute(f"PRAGMA busy_timeout = {self._patience_s * 1000:.0f}")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.rollback()
                raise
            return result

    def stop_waiting(self) -> None:
        """Wait for other writers only briefly from now on: a caller that has waited once, and goes
        on with what there is, should not wait again."""
        self._writer_waits_s = _GLANCE_S

    async def look(self, work: Work[Result]) -> Result:
        """What ``work`` gives, of one state of the index, in one reader thread. Raises StateError
        if the index cannot be read, and whatever the work raises."""
        with self._in_use():
            return await self._reading.run(partial(self._look_here, work))

    def _look_here(self, work: Work[Result]) -> Result:
        with translated(self.path), self._connection() as connection:
            try:
                return in_transaction(work, connection)
            except sqlite3.OperationalError:
                check_cancelled()
                raise

    async def query(self, steps: Steps[Result]) -> Result:
        """What ``steps`` give, as :meth:`look` does."""
        return await self.look(partial(run_steps, steps))

    def query_here(self, steps: Steps[Result]) -> Result:
        """As :meth:`query`, for callers that are in a thread already. Raises Cancelled if nobody
        waits for it any more."""
        return self._look_here(partial(run_steps, steps))

    @asynccontextmanager
    async def all_rows(self) -> AsyncGenerator["aiosqlite.Connection"]:
        """One state of the index, for results as large as it is: beside the event loop, with
        ``async for`` over the rows, only some of which are in memory at a time. Raises StateError
        if the index cannot be read."""
        import aiosqlite  # few commands read so much

        uri = f"{self.path.absolute().as_uri()}?mode=rw"
        with self._in_use(), translated(self.path):
            async with aiosqlite.connect(
                uri,
                iter_chunk_size=_ROWS_AT_A_TIME,
                uri=True,
                timeout=self._patience_s,
                isolation_level=None,
            ) as connection:
                await connection.execute("BEGIN")
                try:
                    yield connection
                except BaseException:
                    await connection.interrupt()  # closing it would wait for the statement
                    raise

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for this thread alone. Some are kept for the next threads, as they know the
        schema already; it is closed if anything went wrong."""
        if self._closed:
            raise IndexUnavailable(self.path, _CLOSED)
        pragmas: tuple[str, ...] = ()
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = connect(self.path, wait_s=self._patience_s, any_thread=True)
            connection.set_progress_handler(is_cancelled, READER_OPERATIONS)
            pragmas = self._pragmas
        try:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")
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

    def inline(self, steps: Steps[Result]) -> Result | None:
        """What :meth:`query` gives, read in the event loop itself, because going to a thread
        costs as much as a short read. None if it takes longer than :data:`INLINE_S` or would have
        to wait: then it is for :meth:`query`, which also reports what is wrong."""
        if self._closed:
            return None
        if self._inline is None:
            self._inline = connect(self.path, wait_s=0)
            self._inline.set_progress_handler(
                lambda: time.monotonic() > self._inline_until, _INLINE_OPERATIONS
            )
        self._inline_until = time.monotonic() + INLINE_S
        try:
            return in_transaction(partial(run_steps, steps), self._inline)
        except SQLITE_ERRORS:
            self._inline.close()
            self._inline = None
            return None

    async def close(self) -> None:
        """Close all connections when the work under way has ended: one that stayed open would
        keep its lock, so that nobody could rebuild the index."""
        self._closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(BUSY_TIMEOUT_S):
                while self._uses:
                    self._unused.clear()
                    await self._unused.wait()
        self._close_idle()
        if self._inline is not None:
            self._inline.close()

    def _close_idle(self) -> None:
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()


def journal_mode(path: Path) -> str:
    """SQLite's journal mode for a database at ``path``: WAL breaks on network drives."""
    return "DELETE" if on_network_drive(path.parent) else "WAL"


@asynccontextmanager
async def open_database(
    path: Path,
    *,
    patience_s: float = BUSY_TIMEOUT_S,
    migrated: Work[None] | None = None,
) -> AsyncGenerator[Database]:
    """The database at ``path``, created and migrated as needed, closed on the way out.

    ``migrated`` runs in the transaction that creates or migrates it.

    Raises:
        IndexTooNew: its schema is from a newer program.
        IndexDamaged: the file is not a usable database.
        NotAnIndex: it is a database of another program.
        IndexNotWritable: it or its folder cannot be written.
        IndexUnavailable: the path cannot be used.
    """
    _create_file(path)
    database = Database(path, patience_s)
    try:
        if await database.look(partial(_revision, path)) != HEAD:
            await database.transact(partial(_migrate, path, migrated))
            path.chmod(0o600)
        mark_index(path)
        yield database
    finally:
        await finished(database.close())


def _begin(connection: sqlite3.Connection, patience_s: float) -> None:
    """Take the write lock. Raises Cancelled if nobody waits for it any more."""
    until = time.monotonic() + patience_s
    connection.execute(f"PRAGMA busy_timeout = {min(_GLANCE_S, patience_s) * 1000:.0f}")
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            check_cancelled()
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() >= until:
                raise
        else:
            return


def _migrate(path: Path, migrated: Work[None] | None, connection: sqlite3.Connection) -> None:
    """Create the schema, or apply what is pending."""
    revision = _revision(path, connection)
    if revision == HEAD:
        return  # another process was faster
    if revision is None:
        from state.db.ddl import create_schema  # loads SQLAlchemy, which takes longer than this

        create_schema(connection)
    else:
        upgrade(path, connection)
    if migrated is not None:
        migrated(connection)


def upgrade(path: Path, connection: sqlite3.Connection) -> None:
    """Apply the migrations that are pending, in the caller's transaction. Raises IndexDamaged."""
    # They cost more than most commands take.
    import sqlalchemy as sa
    from alembic import command
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import StaticPool

    from migrations import alembic_config

    engine = sa.create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    # It ends with the caller's transaction.
    dialect: Any = engine.dialect
    dialect.do_commit = dialect.do_rollback = lambda _: None
    config = alembic_config()
    with engine.connect() as config.attributes["connection"]:
        try:
            command.upgrade(config, "head")
        except DBAPIError as error:
            original = error.orig
            if isinstance(original, sqlite3.Error) and original.sqlite_errorname != "SQLITE_ERROR":
                raise original from error
            # A table that is there too early, or not there: no state that a migration leaves.
            reason = f"its schema cannot be brought up to date: {original}"
            raise IndexDamaged(path, reason) from error


def _revision(path: Path, connection: sqlite3.Connection) -> str | None:
    return revision_of(path, connection.execute)


def _create_file(path: Path) -> None:
    if path.is_dir():
        raise IndexUnavailable(path, "it is a directory")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise IndexNotWritable(path, f"{error.strerror}: {error.filename}") from error
