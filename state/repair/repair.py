"""Repair what :mod:`state.repair.verify` finds in an index: first the plan, then the work.

A repair rebuilds the index, reads files again, syncs, levels user data, or rebuilds a search index.
It never writes rollouts.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from rollout.files.scan import stat_file
from rollout.metadata.outcomes import Extracted, Unusable
from state.db.connect import connect
from state.db.database import Database
from state.db.sql import AMONG, forget_inputs, listed
from state.db.translate import translated
from state.errors import SQLITE_ERRORS, IndexDamaged, PlanOutdated
from state.fulltext.indexer import fill_fulltext, forget_fulltext
from state.jobs.pool import ReadPool, ordered_map
from state.jobs.progress import Report
from state.repair.backup import back_up_index
from state.repair.plan import Plan
from state.repair.reindex import reindex
from state.repair.verify import Depth, verify
from state.rows import thread_rows as rows
from state.rows.writer import Context, StoredBatch, load_context, store_files
from state.sync.filling import reread
from state.thread_index import ThreadIndex, open_index
from state.userdata.journal import append_settings, read_settings
from state.userdata.model import newest_settings
from state.userdata.store import all_settings, change_user_data, put_settings

_BATCH: Final = 100
"""Threads and files in one transaction."""
_TRIES: Final = 5


async def make_plan(
    home: Path, index: Path, *, deep: bool = False, report: Report | None = None
) -> Plan:
    """The plan that would repair what :func:`state.repair.verify.verify` finds. Writes nothing.
    Raises what that raises."""
    plan = Plan()
    depth = Depth() if deep else None
    await verify(home, index, plan.add, depth=depth, report=report)
    return plan


async def repair(
    home: Path,
    index: Path,
    *,
    deep: bool = False,
    plan_id: str | None = None,
    report: Report | None = None,
    sqlite_home: Path | None = None,
) -> tuple[Plan, Path | None]:
    """Verify, and repair what can be repaired. Gives the plan that was carried out, and the path of
    the index as it was before: None if there was no index, or nothing to do. ``sqlite_home`` is the
    value of ``CODEX_SQLITE_HOME``. Raises PlanOutdated, with nothing changed, if another plan than
    ``plan_id`` is needed now, or the index changed again and again between the plan and the first
    write."""
    plan = Plan()
    for _ in range(_TRIES):
        with _ChangeDetector(index) as detector:
            plan = await make_plan(home, index, deep=deep, report=report)
            if plan_id is not None and plan.id != plan_id:
                break
            if not plan:
                return plan, None
            unchanged, kept = True, None
            try:
                with detector.locked() as unchanged:
                    if unchanged:
                        kept = back_up_index(index, check=not plan.rebuild)
            except IndexDamaged:
                pass  # it cannot be copied: reindex sets it aside
            if not unchanged:
                continue
        if plan.rebuild:
            _, aside = await reindex(home, index, report=report)
            return plan, kept or aside
        async with open_index(home, index, sqlite_home) as opened:
            await _carry_out(opened, plan, report)
        return plan, kept
    raise PlanOutdated(plan_id, plan.id)


class _ChangeDetector:
    """Notices whether an index has changed since this was made."""

    def __init__(self, index: Path) -> None:
        self._index = index
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> "_ChangeDetector":
        if self._index.exists():
            self._connection = connect(self._index)
            self._version = self._data_version()
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Whether it has not changed. Nobody can change it inside the block."""
        with translated(self._index):
            if self._connection is None:
                yield not self._index.exists()
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._data_version() == self._version
            finally:
                self._connection.execute("ROLLBACK")

    def _data_version(self) -> object:
        if self._connection is None:
            return None
        try:
            return self._connection.execute("PRAGMA data_version").fetchone()
        except SQLITE_ERRORS:
            return None  # no database at all, which verify reports


async def _carry_out(index: ThreadIndex, plan: Plan, report: Report | None) -> None:
    database = index.database
    if plan.user_data:
        await change_user_data(database, partial(_level_user_data, index=database.path))
    if plan.titles or plan.threads or plan.paths:
        # First, because a row that the title index lacks cannot be taken out of it.
        await database.transact(rows.build_titles)
    if plan.threads or plan.paths:
        await _read_again(database, index.home, plan)
    await database.transact(forget_inputs)  # so that names are applied again
    await index.catch_up(report)
    if plan.fulltext:
        await forget_fulltext(index)
        await fill_fulltext(index, report)


def _level_user_data(connection: sqlite3.Connection, index: Path) -> None:
    """Write the newest value of each key to both the journal and the index."""
    written = newest_settings(read_settings(index))
    settings = newest_settings([*all_settings(connection), *written.values()])
    lacking = [setting for subject, setting in settings.items() if written.get(subject) != setting]
    append_settings(index, lacking)
    for table in ("user_data", "path_aliases"):
        connection.execute(f"DELETE FROM {table}")
    put_settings(connection, list(settings.values()))


async def _read_again(database: Database, home: Path, plan: Plan) -> None:
    """Rewrite the rows and ledger entries of threads and files, from the files."""
    ids, loose = await database.look(partial(_concerned, plan=plan))
    context = load_context(home)
    async with ReadPool(home) as pool:

        async def read(batch: Sequence[str]) -> tuple[set[str], list[Extracted | Unusable]]:
            paths = await database.look(partial(_files_of, ids=batch)) | loose.intersection(batch)
            there = [path for path in paths if stat_file(home, path) is not None]
            return paths, await pool.extract(there, {})

        concerned = [*sorted(ids), *sorted(loose)]
        async with ordered_map(read, concerned, batch=_BATCH, ahead=2) as batches:
            async for batch, (paths, outcomes) in batches:
                rewrite = partial(_rewrite, batch, paths, outcomes, context)
                stored = await database.transact(rewrite)
                await reread(database.transact, pool, stored, context)


def _rewrite(
    ids: Sequence[str],
    paths: Collection[str],
    outcomes: Sequence[Extracted | Unusable],
    context: Context,
    connection: sqlite3.Connection,
) -> StoredBatch:
    rows.delete(connection, ids)
    connection.execute(f"DELETE FROM rollout_files WHERE path {AMONG}", [listed(paths)])
    return store_files(connection, outcomes, context)


def _concerned(connection: sqlite3.Connection, plan: Plan) -> tuple[set[str], set[str]]:
    """The threads of a plan, and its files that belong to none of them."""
    sql = (
        f"SELECT path, thread_id FROM rollout_files WHERE path {AMONG}"
        f" UNION SELECT rollout_path, id FROM threads WHERE rollout_path {AMONG}"
    )
    owners = connection.execute(sql, [listed(plan.paths)] * 2).fetchall()
    ids = plan.threads | {thread_id for _, thread_id in owners if thread_id}
    return ids, plan.paths - {path for path, thread_id in owners if thread_id}


def _files_of(connection: sqlite3.Connection, ids: Sequence[str]) -> set[str]:
    sql = (
        f"SELECT path FROM rollout_files WHERE thread_id {AMONG}"
        f" UNION SELECT rollout_path FROM threads WHERE id {AMONG}"
    )
    return {path for (path,) in connection.execute(sql, [listed(ids)] * 2)}
