"""An index that is only read, while other processes may write it: not a byte changes, beside it
neither.

A connection to a database in WAL mode writes to the files beside it, even if it only reads. So
where there is no ``-wal``, the database is read as one that nobody writes, and read again if
somebody did meanwhile; where there is one, its ``-shm`` is only read, too.
"""

import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Final, NoReturn

from rollout.files.cancellation import is_cancelled
from rollout.files.stamp import FileStamp
from state.aio import finished
from state.db.connect import BUSY_TIMEOUT_S, index_uri, revision_of
from state.db.database import READER_OPERATIONS, Database
from state.db.location import HEAD
from state.db.snapshot import snapshot
from state.db.steps import Result, Steps, Work
from state.errors import IndexMissing, IndexOnlyRead, IndexUnavailable

_TRIES: Final = 5


class ReadingDatabase(Database):
    """A database that is only read. Make one with :func:`open_for_reading`."""

    only_reads = True

    async def transact(self, work: Work[Result]) -> NoReturn:
        """Raises IndexOnlyRead."""
        raise IndexOnlyRead(self.path)

    def inline(self, steps: Steps[Result]) -> None:
        """None: a read may have to be done again, which takes a thread."""
        steps.close()

    def _look_here(self, work: Work[Result]) -> Result:
        for _ in range(_TRIES):
            before = self._stamps()
            try:
                result = super()._look_here(work)
            except Exception:
                if self._stamps() == before:
                    raise
                continue
            if self._stamps() == before or before[1]:
                return result
        raise IndexUnavailable(self.path, "it keeps changing")

    def _stamps(self) -> tuple[FileStamp | None, FileStamp | None]:
        """Those of the database and of its ``-wal``, if there is something in it."""
        wal = _stamp(self.path.with_name(f"{self.path.name}-wal"))
        return _stamp(self.path), wal if wal and wal.size else None

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with ExitStack() as stack:
            try:
                connection = stack.enter_context(closing(self._connect()))
                connection.execute("SELECT 1 FROM sqlite_master").fetchone()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_CANTOPEN":
                    raise
                try:  # its -shm is missing, which only a writer makes
                    connection = stack.enter_context(snapshot(self.path))
                except OSError as problem:
                    reason = problem.strerror or str(problem)
                    raise IndexUnavailable(self.path, reason) from problem
            connection.set_progress_handler(is_cancelled, READER_OPERATIONS)
            yield connection

    def _connect(self) -> sqlite3.Connection:
        how = "readonly_shm=1" if self._stamps()[1] else "immutable=1"
        uri = f"{index_uri(self.path)}?mode=ro&{how}"
        return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)


def _stamp(path: Path) -> FileStamp | None:
    try:
        return FileStamp.of(path.stat())
    except FileNotFoundError:
        return None


@asynccontextmanager
async def open_for_reading(path: Path) -> AsyncGenerator[ReadingDatabase]:
    """The index at ``path`` as it is, closed on the way out.

    Raises:
        IndexDamaged: the file is not a usable database.
        IndexMissing: there is none, or nothing in it.
        IndexTooNew: its schema is from a newer program.
        IndexUnavailable: its schema is from an older program, or it cannot be read.
        NotAnIndex: it is a database of another program.
    """
    if not path.exists():
        raise IndexMissing(path)
    database = ReadingDatabase(path, BUSY_TIMEOUT_S)
    try:
        revision = await database.look(lambda connection: revision_of(path, connection.execute))
        if revision is None:
            raise IndexMissing(path)
        if revision != HEAD:
            raise IndexUnavailable(path, "an older version of threadkeep made it")
        yield database
    finally:
        await finished(database.close())
