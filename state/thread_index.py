"""The read model: pages of threads, single threads, and keeping the index up to date."""

import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from rollout.files.layout import parse_uuid
from rollout.files.scan import check_home, is_away, stat_file
from state.db.database import Database
from state.db.location import on_network_drive
from state.db.steps import Result, Steps
from state.db.translate import translated
from state.errors import IndexBusy, LeaseHeld, LeaseLost, ThreadInTrash, ThreadNotFound
from state.jobs.progress import DEFAULT_LEASE_S, Away, Report, SyncProgress
from state.prices.spending import Spending, spending
from state.query.cursor import Cursor
from state.query.listing import Key, count_steps, key_steps, page_steps, short_id_steps
from state.query.model import ANY, LARGEST_PAGE, Counted, Page, Query
from state.query.resolve import resolve_steps, thread_steps, unreadable_file_steps
from state.query.rows import Row, details_steps, existing_steps, is_fresh, rows_steps
from state.rows.ledger import Changes, leave_out_unreadable
from state.rows.thread_rows import earlier_extractions
from state.rows.writer import StoredBatch, forget_files, load_context, store_files
from state.sync.backfill import backfill
from state.sync.copies import compare_copies
from state.sync.filling import Beside
from state.sync.from_codex import take_from_codex
from state.sync.move_journal import finish_moves
from state.sync.status import BackfillStatus, Status, away_steps, backfill_steps, status_steps
from state.sync.sync import BATCH_FILES, find_changes, sync
from state.sync.unread import Unread, Waiting
from state.userdata.store import open_with_user_data

_REPAIR_ROUNDS: Final = 20


class ThreadIndex:
    """The index of ``home``. Make one with :func:`open_index`."""

    def __init__(self, home: Path, database: Database, sqlite_home: Path | None = None) -> None:
        self.home = home
        self.database = database
        self._sqlite_home = sqlite_home
        self._far = on_network_drive(home) or on_network_drive(database.path.parent)
        self.unfinished: list[str] = []
        """Why moves that a killed process left half done could not be finished on opening."""
        self.beside: Beside | None = None
        """What a backfill makes of files besides their rows."""
        self.search: Callable[..., Awaitable[Any]] | None = None
        """Searches the messages, where there are no files that have them."""
        self.rank: Callable[..., Awaitable[Any]] | None = None
        """Finds there the threads that hold some of many terms."""

    async def page(self, query: Query) -> Page:
        """The page that ``query`` asks for, true to the files as they are now.

        Rows whose file is gone are dropped and the page is filled up again; rows whose file has
        changed are read again, and stay where they are in the page. Raises InvalidCursor if the
        query's cursor is not one of this list, and InvalidQuery if it asks for what only a fleet
        has.
        """
        query.of_one_index()
        for _ in range(_REPAIR_ROUNDS):
            slow = self._far or query.search is not None
            found = None if slow else self.database.inline(_checked_steps(self.home, query))
            if found is None:
                found = await self.database.query(_checked_steps(self.home, query))
            page, stale = found
            if not stale:
                return page
            try:
                gone = await self.refresh([row["rollout_path"] for row in stale])
            except IndexBusy:
                # These rows are true all the same; the index is updated when it is free.
                rows = [row for row in page.rows if stat_file(self.home, row["rollout_path"])]
                return page._replace(rows=rows)
            if not gone:
                fresh = await self.rows_of([row["id"] for row in page.rows])
                return page._replace(rows=[fresh.get(row["id"], row) for row in page.rows])
        return page

    async def stored_page(self, query: Query) -> Page:
        """The same as the index has it, whatever the files are now."""
        return await self.database.query(page_steps(query))

    async def keys(self, query: Query, after: Cursor | None, count: int) -> list[Key]:
        """The first ``count`` keys of the list behind a place, as the index has it."""
        return await self.database.query(key_steps(query, after, count))

    async def all_rows(self, query: Query) -> AsyncGenerator[Row]:
        """The rows of a list from the cursor of ``query`` on, as :meth:`page` gives them."""
        cursor: str | None = query.cursor
        begun = False
        while cursor is not None or not begun:
            page = await self.page(replace(query, cursor=cursor, limit=LARGEST_PAGE))
            begun, cursor = True, page.next_cursor
            for row in page.rows:
                yield row

    async def short_ids(self, ids: Sequence[str]) -> dict[str, str]:
        """For each id the shortest prefix, of eight letters or more, that only it has."""
        return await self.database.query(short_id_steps(ids))

    async def count(self, query: Query) -> Counted:
        """How many threads the list of ``query`` has, and what the defaults keep out of it."""
        return await self.database.query(count_steps(query.of_one_index()))

    async def thread(self, reference: str, query: Query = ANY) -> Row:
        """The row of the thread that an id, a unique prefix of one, a name or a path means.

        Raises:
            AmbiguousThread: more than one thread matches.
            ThreadUnreadable: nothing can be read from its file.
            ThreadNotFound: none does.
        """
        if exact := parse_uuid(reference):
            row = (self.database.inline(rows_steps([exact])) or {}).get(exact)
            if row is not None and is_fresh(self.home, row):
                return row
        looked = False
        for _ in range(_REPAIR_ROUNDS):
            row = await self.database.query(thread_steps(self.home, reference))
            if row is not None and self._is_as_fresh_as_can_be(row):
                return row
            if row is not None and not await self.refresh([row["rollout_path"]]):
                fresh = await self.rows_of([row["id"]])
                if row["id"] in fresh:
                    return fresh[row["id"]]
            # Its file may have been moved just now.
            if looked or self.database.only_reads:
                break
            if (await self.backfill_status()).status != "complete":
                break
            await self.sync()
            looked = row is None
        raise (await self.not_found([reference]))[reference]

    def _is_as_fresh_as_can_be(self, row: Row) -> bool:
        if self.database.only_reads:
            return stat_file(self.home, row["rollout_path"]) is not None
        return is_fresh(self.home, row)

    async def not_found(self, references: Sequence[str]) -> dict[str, ThreadNotFound]:
        """Why there is no thread for some references: what they mean is unreadable or in the trash,
        or nothing is known of it."""
        from rollout.files.trash import matching, read_trash

        trash = []
        with suppress(OSError):  # the trash cannot be read
            trash = await self.database.workers.run(partial(read_trash, self.home))
        deleted_at = {folder.delete_id: folder.deleted_at_ms for folder in trash}
        found: dict[str, ThreadNotFound] = {}
        for reference in references:
            unreadable = await self.database.query(unreadable_file_steps(self.home, reference))
            deleted = matching(trash, reference) if trash else []
            if unreadable is not None and stat_file(self.home, unreadable.path) is not None:
                found[reference] = unreadable  # and it has not gone since
            elif len(deleted) == 1:
                since_ms = deleted_at[deleted[0].delete_id]
                found[reference] = ThreadInTrash(reference, deleted[0].thread_id, since_ms)
            else:
                found[reference] = ThreadNotFound(reference)
        return found

    async def read(self, make: Callable[[], Steps[Result]], query: Query = ANY) -> Result:
        """What steps give that are read for ``query``."""
        return await self.database.query(make())

    def seen(self, query: Query) -> Query:
        """The query with what it is to be of where it does not say: itself, but for a fleet."""
        return query

    async def look_up_prices(self, query: Query = ANY) -> bool:
        """See :func:`state.prices.rates.ensure_rates`; in a fleet, those of what ``query`` sees."""
        from state.prices.rates import ensure_rates

        return await ensure_rates(self.database)

    async def spending(self, ids: Sequence[str], query: Query = ANY) -> dict[str, Spending]:
        """What threads have spent, of a fleet as ``query`` sees them: see
        :func:`state.prices.spending.spending`."""
        return await spending(self.database, ids)

    async def details(self, thread_id: str, query: Query = ANY) -> dict[str, Any]:
        """All that the index has of a thread: see :func:`state.query.rows.details_steps`."""
        return await self.database.query(details_steps(thread_id))

    async def sync(
        self,
        report: Report | None = None,
        *,
        reread: bool = False,
        waiting: Waiting | None = None,
    ) -> SyncProgress:
        """Apply changes of the files, see :func:`state.sync.sync.sync`, and take over what users
        set in Codex."""
        check_home(self.home)
        done = await sync(self.database, self.home, report=report, reread=reread, waiting=waiting)
        await take_from_codex(self.database, self.home, self._sqlite_home)
        return done

    async def backfill(
        self,
        report: Report | None = None,
        *,
        lease_s: float = DEFAULT_LEASE_S,
        batch_files: int = BATCH_FILES,
        force: bool = False,
        waiting: Waiting | None = None,
    ) -> SyncProgress:
        """Run the backfill job, see :func:`state.sync.backfill.backfill`, and take over what users
        set in Codex."""
        done = await backfill(
            self.database,
            self.home,
            lease_s=lease_s,
            batch_files=batch_files,
            force=force,
            report=report,
            waiting=waiting,
            beside=self.beside,
        )
        await take_from_codex(self.database, self.home, self._sqlite_home)
        return done

    async def catch_up(
        self, report: Report | None = None, *, waiting: Waiting | None = None
    ) -> SyncProgress | None:
        """Bring the index up to date: by the backfill until that is complete, then by syncs. None
        if another process runs the backfill, which fills the index meanwhile. Raises Answered if
        ``waiting`` needs no more."""
        if (await self.backfill_status()).status == "complete":
            return await self.sync(report, waiting=waiting)
        try:
            return await self.backfill(report, waiting=waiting)
        except (LeaseHeld, LeaseLost):  # lost: another process continues, or has rebuilt the index
            return None

    async def backfill_status(self) -> BackfillStatus:
        """The state of the backfill job."""
        return await self.database.query(backfill_steps())

    async def status(self) -> Status:
        """The condition of the index: counts, buckets, the backfill job."""
        return await self.database.query(status_steps(self.database.path))

    async def pending(self) -> Changes:
        """What the next sync will do, without what it will try to read in vain; changes nothing."""
        changes = await find_changes(self.database, self.home)
        await self.database.workers.run(partial(leave_out_unreadable, self.home, changes))
        return changes

    async def unread(self) -> Unread:
        """The files that a sync would read now."""
        return Unread.sorted((await find_changes(self.database, self.home)).to_read)

    async def known_away(self) -> list[Away]:
        """What could not be accessed when the index last caught up with the files."""
        return await self.database.query(away_steps())

    async def rows_of(self, ids: Sequence[str], query: Query = ANY) -> dict[str, Row]:
        """The rows of threads as the index has them, by id; of a fleet, what ``query`` sees."""
        return await self.database.query(rows_steps(ids))

    async def existing(self, ids: Sequence[str]) -> set[str]:
        """Those of some ids that threads in the index have."""
        return await self.database.query(existing_steps(ids))

    async def resolve(self, reference: str) -> list[str]:
        """The ids of the threads that ``reference`` may mean, at most 100; changes nothing."""
        return await self.database.query(resolve_steps(self.home, reference))

    async def refresh(self, paths: Sequence[str]) -> bool:
        """Read on in the files at ``paths``, relative to the home, and forget those that are gone:
        whether any was. Raises IndexBusy if another process kept the write lock."""
        from rollout.metadata.worker import extract_many

        found = {path: stat_file(self.home, path) for path in paths}
        gone = [path for path, file in found.items() if file is None]
        changed = [path for path, file in found.items() if file is not None and not is_away(file)]
        context = load_context(self.home)
        known = {path: path for path in changed}
        earlier = await self.database.look(partial(earlier_extractions, paths=known))
        items = [(path, earlier.get(path)) for path in changed]
        reading = self.database.workers
        outcomes = await reading.run(partial(extract_many, str(self.home), items))

        def store(connection: sqlite3.Connection) -> tuple[bool, StoredBatch]:
            copies = store_files(connection, outcomes, context, gone).copies
            return copies, forget_files(connection, gone)

        copies, stored = await self.database.transact(store)
        if stored.reread:
            again = [(path, None) for path in stored.reread]
            others = await reading.run(partial(extract_many, str(self.home), again))
            put = partial(store_files, outcomes=others, context=context)
            copies |= (await self.database.transact(put)).copies
        if copies or stored.copies:
            await compare_copies(self.database, self.home, self.database.transact)
        return bool(gone)


def _checked_steps(home: Path, query: Query) -> Steps[tuple[Page, list[Row]]]:
    """A page, and those of its rows whose files have changed."""
    page = yield from page_steps(query)
    return page, [row for row in page.rows if not is_fresh(home, row)]


@asynccontextmanager
async def open_index(
    home: Path, path: Path, sqlite_home: Path | None = None
) -> AsyncGenerator[ThreadIndex]:
    """The index of ``home`` at ``path``, created if needed, closed on the way out. Moves that a
    killed process left half done are finished first. ``sqlite_home`` is the folder of Codex's own
    database, if that is not the home (``CODEX_SQLITE_HOME``). Raises what
    :func:`state.db.database.open_database` raises."""
    with translated(path):
        async with open_with_user_data(path) as database:
            index = ThreadIndex(home, database, sqlite_home)
            index.unfinished = await finish_moves(database, home)
            yield index


@asynccontextmanager
async def read_index(home: Path, path: Path) -> AsyncGenerator[ThreadIndex]:
    """The index of ``home`` at ``path`` as it is: not a byte is written. Raises what
    :func:`state.db.reading.open_for_reading` raises."""
    from state.db.reading import open_for_reading

    with translated(path):
        async with open_for_reading(path) as database:
            yield ThreadIndex(home, database)
