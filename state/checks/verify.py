"""Verify an index: against itself, against the files, and, deep, against what the files say.

Writes nothing, neither to the index nor to the home. The deep check reads rollouts through the
ordinary extraction, newest first, and compares what they give with their rows, column by column;
then their messages and turns (:mod:`state.repair.contents`).
"""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rollout.files.scan import FoundFile, check_home, scan_home
from rollout.metadata.extract import Extracted, Unusable
from rollout.metadata.model import BEGINS_ELSEWHERE, ToolMetadata
from state.checks import database as dbcheck
from state.checks import model
from state.checks.database import check_copy, copied
from state.checks.findings import ERROR, WARNING, Finding, Kind
from state.checks.model import column_differs
from state.checks.structure import check_structure
from state.checks.user_data import indexed_user_data, inputs_are_settled, wanted_names
from state.db.connect import revision_of
from state.db.location import HEAD
from state.db.readonly import read_only
from state.db.steps import run_steps
from state.db.translate import translate
from state.errors import SQLITE_ERRORS, IndexDamaged, IndexUnavailable
from state.jobs.ordered_map import ordered_map
from state.jobs.pool import ReadPool
from state.jobs.progress import JobProgress, Report
from state.repair import contents
from state.repair.contents import REPAIR_DEEP, DeepContents
from state.sync.home_config import default_provider
from state.sync.ledger import newest_first, stamp_of, watermark
from state.sync.openings import opening_steps, show_opening
from state.sync.thread_rows import thread_row
from state.userdata.model import values_of_columns
from state.workers import Workers

_OWN_KINDS: Final = (
    Kind("no_index", WARNING, "threadkeep backfill"),
    Kind("old_schema", WARNING, "threadkeep sync"),
    Kind("outcome_differs", ERROR, REPAIR_DEEP),
    Kind("tools_differ", ERROR, REPAIR_DEEP),
)
KINDS: Final = (
    dbcheck.KINDS | model.KINDS | contents.KINDS | {kind.code: kind for kind in _OWN_KINDS}
)
"""Every kind of finding about an index, by code."""

_BATCH_FILES: Final = 400


@dataclass(slots=True)
class Depth:
    """How much a deep check reads, and how far it has come."""

    share: float = 1.0
    """Of the files; less than 1 takes a random sample."""
    after: str | None = None
    """Go on after this mark."""
    mark: str | None = None
    """The last file that was compared."""
    whole: bool = False
    """Whether it came to its end."""


async def verify(
    home: Path,
    index: Path,
    found: Callable[[Finding], None],
    *,
    depth: Depth | None = None,
    report: Report | None = None,
) -> None:
    """Give every finding about ``index`` to ``found``; with ``depth`` the deep ones too.

    Cancelled, ``depth.mark`` tells where a deep check can go on.

    Raises:
        HomeNotFound: there is nothing to compare with.
        IndexTooNew: the index belongs to a newer threadkeep.
        NotAnIndex: another program's database lies there.
        IndexUnavailable: it cannot be read.
    """
    check_home(home)
    if not index.exists() or not index.stat().st_size:
        found(_no_index(index))
        return
    try:
        with read_only(index) as connection:
            if not await _check_index(connection, home, index, found) or depth is None:
                return
            await _check_deep(connection, home, found, depth, report)
    except SQLITE_ERRORS as error:
        known = translate(index, error)
        if not isinstance(known, IndexDamaged):
            raise known or error from error
        found(dbcheck.damaged(known.reason))
    except OSError as error:
        raise IndexUnavailable(index, error.strerror or str(error)) from error


async def _check_index(
    connection: sqlite3.Connection, home: Path, index: Path, found: Callable[[Finding], None]
) -> bool:
    """The structural checks: False if the index is in no state to be looked at more closely."""
    try:
        revision = revision_of(index, connection.execute)
    except IndexDamaged:
        revision = HEAD  # the checks below say what is missing
    if revision is None:
        found(_no_index(index))
        return False
    if revision != HEAD:
        message = "The index has an older schema; the next command brings it up to date."
        found(Finding(KINDS["old_schema"], message, measured=revision, expected=HEAD))
        return False
    sound, structure = await _check_both(connection, home, index)
    usable = True
    for finding in sound:
        found(finding)
        usable = usable and finding.kind.code not in ("index_damaged", "schema_differs")
    if usable:
        if isinstance(structure, Exception):
            raise structure
        for finding in structure:
            found(finding)
    return usable


async def _check_both(
    connection: sqlite3.Connection, home: Path, index: Path
) -> tuple[list[Finding], list[Finding] | Exception]:
    """What is wrong with the database, and with what stands in it: the one is SQLite's work, and
    done in a thread beside the other. That one fails where the database is not sound."""
    with copied(connection) as copy:
        check = Workers(1).run(lambda: list(check_copy(copy)), stopped=copy.interrupt)
        checking = asyncio.create_task(check)
        structure: list[Finding] | Exception
        try:
            await asyncio.sleep(0)  # lets the thread start
            structure = list(check_structure(connection, home, index))
        except (*SQLITE_ERRORS, TypeError, ValueError) as error:
            structure = error  # a value of the wrong type, if the database is not sound
        except BaseException:
            checking.cancel()
            await asyncio.wait({checking})  # it reads the copy, which is closed now
            raise
        return await checking, structure


def _no_index(index: Path) -> Finding:
    return Finding(KINDS["no_index"], "There is no index yet.", path=str(index))


async def _check_deep(
    connection: sqlite3.Connection,
    home: Path,
    found: Callable[[Finding], None],
    depth: Depth,
    report: Report | None,
) -> None:
    connection.row_factory = sqlite3.Row
    check, content = _Deep(connection, home), DeepContents(connection, home)
    files = _files_to_read(connection, home, depth)
    counts = JobProgress(total=len(files))
    async with ReadPool(home) as pool:
        pool.prepare(files=len(files))

        async def read(batch: Sequence[FoundFile]) -> list[Extracted | Unusable]:
            return await pool.extract([file.path for file in batch], {})

        async with ordered_map(read, files, batch=_BATCH_FILES, ahead=3) as batches:
            async for batch, outcomes in batches:
                for file, outcome in zip(batch, outcomes, strict=True):
                    for finding in check.compare(file, outcome):
                        found(finding)
                async for finding in content.compare(pool, outcomes):
                    found(finding)
                depth.mark = watermark(batch[-1])
                counts.done += len(batch)
                counts.bytes_done += sum(file.stamp.size for file in batch)
                if report:
                    report(counts)
    depth.whole = True


def _files_to_read(connection: sqlite3.Connection, home: Path, depth: Depth) -> list[FoundFile]:
    """Files that are as the ledger has them, newest name first; the others are behind, which the
    structural check tells."""
    ledger = {
        row["path"]: stamp_of(row)
        for row in connection.execute("SELECT * FROM rollout_files WHERE bucket <> 'ignored'")
    }
    same = [file for file in scan_home(home) if ledger.get(file.path) == file.stamp]
    if depth.share < 1:
        same = random.sample(same, max(1, round(len(same) * depth.share))) if same else []
    same.sort(key=newest_first, reverse=True)
    return [file for file in same if depth.after is None or watermark(file) < depth.after]


class _Deep:
    """Compares what files give with what one state of the index says of them."""

    def __init__(self, connection: sqlite3.Connection, home: Path) -> None:
        self._connection = connection
        self._provider = default_provider(home)
        self._overrides = values_of_columns(indexed_user_data(connection))
        self._openings: dict[str, str] = {}
        self._names: dict[str, str] | None = None
        """None while the index is behind them or they cannot be read: that has been told."""
        with suppress(OSError):
            if inputs_are_settled(connection, home):
                self._names = wanted_names(connection, home)

    def compare(self, file: FoundFile, outcome: Extracted | Unusable) -> Iterator[Finding]:
        """What of the index about one file is not what the file gives."""
        if outcome.stamp != file.stamp:
            return  # changed meanwhile
        entry = self._connection.execute(
            "SELECT * FROM rollout_files WHERE path = ?", [file.path]
        ).fetchone()
        yield from _compare_entry(entry, outcome)
        if isinstance(outcome, Unusable) or entry["thread_id"] != outcome.metadata.id:
            return
        row = self._connection.execute(
            "SELECT * FROM threads WHERE id = ?", [outcome.metadata.id]
        ).fetchone()
        if row is None or row["rollout_path"] != file.path:
            return  # another file is the thread's, or the structural check has told
        thread_id = outcome.metadata.id
        set_here = self._overrides.get(thread_id)
        if self._names is None:
            expected = thread_row(outcome, row["name"], row["model_provider"], set_here)
        else:
            expected = thread_row(outcome, self._names.get(thread_id), self._provider, set_here)
        if expected["flags"] & BEGINS_ELSEWHERE:
            steps = opening_steps(thread_id, expected, self._openings)
            show_opening(expected, run_steps(steps, self._connection))
        for column, value in expected.items():
            if row[column] != value:
                finding = column_differs(thread_id, file.path, column, row[column], value)
                yield replace(finding, mend=REPAIR_DEEP)
        yield from self._compare_tools(outcome)

    def _compare_tools(self, outcome: Extracted) -> Iterator[Finding]:
        stored = self._connection.execute(
            "SELECT namespace, name, description, input_schema, defer_loading"
            " FROM thread_dynamic_tools WHERE thread_id = ? ORDER BY position",
            [outcome.metadata.id],
        )
        held = [ToolMetadata(row[0], row[1], row[2], row[3], bool(row[4])) for row in stored]
        if held != (outcome.tools or []):
            yield Finding(
                KINDS["tools_differ"],
                "The dynamic tools are not those of the file.",
                outcome.metadata.id,
                outcome.path,
                measured=_names_of(held),
                expected=_names_of(outcome.tools or []),
            )


def _names_of(tools: Sequence[ToolMetadata]) -> str:
    return ", ".join(tool.name for tool in tools) or "none"


def _compare_entry(entry: sqlite3.Row, outcome: Extracted | Unusable) -> Iterator[Finding]:
    """The ledger says of a file what reading it gives."""
    if isinstance(outcome, Unusable):
        expected: dict[str, Any] = {
            "bucket": "unreadable",
            "thread_id": None,
            "reason": outcome.reason,
            "reason_offset": outcome.offset,
        }
    else:
        bad = outcome.first_bad
        expected = {
            "thread_id": outcome.metadata.id,
            "bad_lines": outcome.bad_lines,
            "left_out": outcome.left_out,
            "left_out_at": outcome.left_out_at,
            "opening": None if entry["bucket"] == "indexed" else outcome.metadata.preview,
            "reason": bad.reason if bad else None,
            "reason_offset": bad.offset if bad else None,
        }
        if entry["bucket"] == "unreadable":
            expected |= {"bucket": "indexed", "opening": None}
    for column, value in expected.items():
        if entry[column] != value:
            yield Finding(
                KINDS["outcome_differs"],
                f"The ledger's {column} is not what reading the file gives.",
                entry["thread_id"],
                entry["path"],
                measured=None if entry[column] is None else str(entry[column]),
                expected=None if value is None else str(value),
            )
