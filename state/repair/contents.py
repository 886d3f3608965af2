"""Compare the messages, changed files and turns in the index with the files: a deep check.

The index reads on where it ended if a sample of the earlier part is unchanged
(:mod:`rollout.jsonl.resume`); here every byte is read again.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from rollout.files.layout import best_file
from rollout.metadata.outcomes import Extracted, Unusable
from rollout.search.changed_files import digest_of_changes
from rollout.search.documents import ThreadDigest, digests, lines_of, read_digest
from state.checks import database as dbcheck
from state.checks.findings import ERROR, REPAIR_DEEP, Finding, kinds
from state.fulltext.due import VERSION
from state.fulltext.store import hex_of
from state.jobs.pool import ReadPool
from state.turns.checkpoint import TurnState, reduce_again
from state.turns.outline_rows import stored_outlines
from state.turns.outlines import complete
from state.turns.store import has_rows_of, stored_outline
from state.workers import Workers

KINDS: Final = kinds((ERROR, REPAIR_DEEP, "turns_differ"))

# Threads that are pending, or that an earlier version read, are read again before they are used.
_KNOWN_SQL: Final = (
    "SELECT s.digest FROM threads t JOIN fulltext_threads s USING (row_id)"
    " WHERE t.id = ? AND t.rollout_path = ? AND s.version = ?"
    " AND row_id NOT IN (SELECT row_id FROM fulltext_pending)"
)
_CHANGES_SQL: Final = (
    "SELECT path, locations FROM threads t JOIN file_changes USING (row_id)"
    " JOIN changed_files USING (file_id) WHERE t.id = ?"
)
_SHOWN_SQL: Final = "SELECT 1 FROM threads WHERE id = ? AND rollout_path = ?"


class ContentCheck:
    """Compares messages, changed files and turns in one state of the index with the files."""

    def __init__(self, connection: sqlite3.Connection, home: Path) -> None:
        self._connection = connection
        self._home = home
        self._files: list[tuple[str, int]] = []
        self._workers = Workers(1)

    async def compare(
        self, pool: ReadPool, outcomes: Iterable[Extracted | Unusable]
    ) -> AsyncIterator[Finding]:
        """Where the index does not match the threads of some files."""
        files = [file for file in outcomes if isinstance(file, Extracted)]
        kept = {file.path: digest for file in files if (digest := self._digest(file))}
        read = await self._read(pool, [*kept])
        for file in files:
            found = read.get(file.path)
            if found and found.stamp in (None, file.stamp):
                for what in self._differences(found, file, kept[file.path]):
                    yield Finding(
                        dbcheck.KINDS["search_index_differs"],
                        f"The full-text index of a thread does not match {what} in its files.",
                        file.metadata.id,
                        file.path,
                        mend=REPAIR_DEEP,
                    )
            if not await self._has_turns(file):
                yield Finding(
                    KINDS["turns_differ"],
                    "The stored turns of a thread do not match its files.",
                    file.metadata.id,
                    file.path,
                )

    def _digest(self, file: Extracted) -> str | None:
        """The digest of a thread's messages in the full-text index; None if it has none that is up
        to date, or if the thread shows another file."""
        found = self._connection.execute(
            _KNOWN_SQL, [file.metadata.id, file.path, VERSION]
        ).fetchone()
        return str(found[0]) if found else None

    def _differences(self, found: ThreadDigest, file: Extracted, kept: str) -> Iterator[str]:
        if hex_of(found.messages) != kept:
            yield "the messages"
        rows = self._connection.execute(_CHANGES_SQL, [file.metadata.id])
        try:
            changes = digest_of_changes(
                (path, *line) for path, locations in rows for line in lines_of(locations)
            )
        except ValueError:
            return  # which the check of the database has reported
        if found.changes != changes:
            yield "the changed files"

    async def _read(self, pool: ReadPool, paths: Sequence[str]) -> dict[str, ThreadDigest]:
        found: dict[str, ThreadDigest] = {}
        for read in await pool.map(digests, paths):
            if isinstance(read, str):
                self._files = self._files or [*self._connection.execute(_FILES_SQL)]
                read = await self._workers.run(partial(read_digest, self._home, read, self._find))
            found[read.path] = read
        return found

    def _find(self, rollout_id: str) -> Path | None:
        best = best_file((file for file in self._files if rollout_id in file[0]), rollout_id)
        return self._home / best if best else None

    async def _has_turns(self, file: Extracted) -> bool:
        """Whether the stored turns of a thread, if any, match its files."""
        thread_id = file.metadata.id
        if self._connection.execute(_SHOWN_SQL, [thread_id, file.path]).fetchone() is None:
            return True
        stored = stored_outline(self._connection, thread_id, self._home)
        if stored is None:
            return True
        known, seen, state = stored
        try:
            again = await self._workers.run(partial(reduce_again, known, seen))
        except OSError:
            return True  # it is gone
        if again.dump() != state or not has_rows_of(self._connection, thread_id, again):
            return False
        outlines = stored_outlines(self._connection, thread_id)
        if not outlines:
            return True
        anew = TurnState(known, seen, again)
        try:
            await self._workers.run(partial(complete, anew))
        except OSError:
            return True
        return outlines.items() <= anew.outlines.rows.items()


_FILES_SQL: Final = "SELECT path, size_bytes FROM rollout_files WHERE bucket <> 'ignored'"
