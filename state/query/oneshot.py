"""One-shot reads of a command, without asyncio and without writing.

What opens an index takes longer to load than a whole list may. So a command tries this first: if
the index is current and a scan finds nothing new, a plain connection gives the result, by the same
queries as everywhere. Otherwise there is no reader, and the command opens the index.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rollout.files.scan import check_home
from state.db import location
from state.db.connect import connect, revision_of
from state.db.steps import Result, Steps, run_steps
from state.errors import SQLITE_ERRORS, StateError
from state.query.listing import page_steps
from state.query.model import Page, Query
from state.query.rows import Row, is_fresh
from state.rows.home_config import home_inputs
from state.rows.ledger import LEDGER_SQL, ledger_of, scan_changes


class IndexReader:
    """Reads an index that is up to date. Make one with :meth:`opened`."""

    def __init__(self, connection: sqlite3.Connection, home: Path, scanned: bool) -> None:
        self._connection, self._home, self._scanned = connection, home, scanned

    @classmethod
    @contextmanager
    def opened(
        cls, home: Path, index: Path, *, scan: bool = True
    ) -> Iterator["IndexReader | None"]:
        """A reader of one state of the index; None if the index is not up to date, which with
        ``scan`` a comparison with the files decides. Raises HomeNotFound if there is no home."""
        check_home(home)
        if location.moves_under_way(index):
            yield None  # opening the index finishes these moves
            return
        try:
            connection = connect(index, "ro", wait_s=1.0)
        except SQLITE_ERRORS:
            yield None  # opening the index reports what is wrong, or repairs it
            return
        with closing(connection):
            try:
                connection.execute("BEGIN")  # one state of the index for all that follows
                usable = _is_usable(connection, index) and (
                    not scan or _is_in_step(connection, home, index)
                )
            except (*SQLITE_ERRORS, StateError):
                usable = False
            yield cls(connection, home, scan) if usable else None

    def page(self, query: Query) -> Page | None:
        """The page; None if a file of it has changed since it was indexed."""
        page = run_steps(page_steps(query.of_one_index()), self._connection)
        if not self._scanned and not all(is_fresh(self._home, row) for row in page.rows):
            return None
        return page

    def thread(self, reference: str) -> Row | None:
        """The row of the thread that ``reference`` means; None if there is none, or if its file
        has changed since it was indexed. Raises AmbiguousThread if more than one fits."""
        from state.query.resolve import thread_steps

        row = run_steps(thread_steps(self._home, reference), self._connection)
        return row if row is not None and is_fresh(self._home, row) else None

    def read(self, steps: "Steps[Result]") -> Result:
        """What ``steps`` give."""
        return run_steps(steps, self._connection)


def _is_usable(connection: sqlite3.Connection, index: Path) -> bool:
    if revision_of(index, connection.execute) != location.HEAD:
        return False
    status = connection.execute("SELECT status FROM backfill_state").fetchone()
    return bool(status == ("complete",))


def _is_in_step(connection: sqlite3.Connection, home: Path, index: Path) -> bool:
    meta = dict(connection.execute("SELECT key, value FROM index_meta"))
    if meta.get(location.INPUTS_KEY) != home_inputs(home):
        return False
    if meta.get(location.JOURNAL_KEY, location.NO_JOURNAL) != location.journal_state(index):
        return False
    if connection.execute("SELECT 1 FROM file_usage WHERE only_here = ''").fetchone():
        return False  # a sync that was killed has left copies to compare
    ledger = ledger_of(connection.execute(LEDGER_SQL).fetchall())
    changes = scan_changes(home, ledger)
    return not (changes or changes.away)  # what cannot be accessed is reported by a sync
