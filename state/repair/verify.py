"""Verify an index: against itself, against the files, and, deep, against what the files say.

Writes nothing, neither to the index nor to the home. The deep check reads rollouts, newest first,
and compares their metadata with their rows, column by column, and then their messages and turns
(:mod:`state.repair.contents`).
"""

import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from rollout.files.scan import FoundFile, scan_home
from rollout.metadata.outcomes import Extracted, Unusable
from state.checks import database, findings, metadata
from state.checks import verify as shallow
from state.checks.findings import Finding
from state.checks.metadata import MetadataCheck
from state.checks.verify import check_index
from state.jobs.pool import ReadPool, ordered_map
from state.jobs.progress import JobProgress, Report
from state.repair import contents
from state.repair.contents import ContentCheck
from state.rows.ledger import newest_first, stamp_of, watermark
from state.workers import Workers

KINDS: Final = shallow.KINDS | database.KINDS | findings.KINDS | metadata.KINDS | contents.KINDS
"""Every kind of finding about an index, by code."""

_BATCH_FILES: Final = 400


@dataclass(slots=True)
class Depth:
    """How much a deep check reads, and how far it has come."""

    share: float = 1.0
    """Of the files; less than 1 takes a random sample."""
    after: str | None = None
    """The mark of an earlier check, to continue there."""
    mark: str | None = None
    """The last file that was compared."""


async def verify(
    home: Path,
    index: Path,
    found: Callable[[Finding], None],
    *,
    depth: Depth | None = None,
    report: Report | None = None,
) -> None:
    """Give every finding about ``index`` to ``found``; with ``depth`` the deep ones too.

    If it is cancelled, ``depth.mark`` says where a deep check can continue. Raises what
    :func:`state.checks.verify.check_index` raises.
    """
    deep = partial(_check_deep, home, found, depth, report) if depth else None
    await check_index(home, index, found, deep)


async def _check_deep(
    home: Path,
    found: Callable[[Finding], None],
    depth: Depth,
    report: Report | None,
    connection: sqlite3.Connection,
) -> None:
    connection.row_factory = sqlite3.Row
    rows, content = MetadataCheck(connection, home), ContentCheck(connection, home)
    workers = Workers(1)
    files = await workers.run(partial(_files_to_read, connection, home, depth))
    counts = JobProgress(total=len(files))
    async with ReadPool(home) as pool:
        pool.prepare(files=len(files))

        async def read(batch: Sequence[FoundFile]) -> list[Extracted | Unusable]:
            return await pool.extract([file.path for file in batch], {})

        async with ordered_map(read, files, batch=_BATCH_FILES, ahead=3) as batches:
            async for batch, outcomes in batches:
                for finding in await workers.run(partial(rows.compare, batch, outcomes)):
                    found(finding)
                async for finding in content.compare(pool, outcomes):
                    found(finding)
                depth.mark = watermark(batch[-1])
                counts.done += len(batch)
                counts.bytes_done += sum(file.stamp.size for file in batch)
                if report:
                    report(counts)


def _files_to_read(connection: sqlite3.Connection, home: Path, depth: Depth) -> list[FoundFile]:
    """Files that are as the ledger has them, newest name first. The structural check reports the
    others."""
    ledger = {
        row["path"]: stamp_of(row)
        for row in connection.execute("SELECT * FROM rollout_files WHERE bucket <> 'ignored'")
    }
    same = [file for file in scan_home(home) if ledger.get(file.path) == file.stamp]
    if depth.share < 1:
        same = random.sample(same, max(1, round(len(same) * depth.share))) if same else []
    same.sort(key=newest_first, reverse=True)
    return [file for file in same if depth.after is None or watermark(file) < depth.after]
