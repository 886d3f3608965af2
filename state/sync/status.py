"""The condition of an index: its threads, files and jobs. It imports little."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rollout.files.scan import INACCESSIBLE
from state.db.location import size_of
from state.db.steps import Steps
from state.errors import IndexDamaged
from state.jobs.progress import Away, done_of

if TYPE_CHECKING:
    from state.jobs.lease import Owner

_PROBLEM: Final = (
    *("path", "bucket", "thread_id", "reason", "reason_offset", "bad_lines", "retry"),
    *("left_out", "left_out_at"),
)


class BackfillStatus(NamedTuple):
    """The job as the database has it."""

    status: str
    watermark: str | None
    owner: "Owner | None"
    fence: int
    lease_expires_at_ms: int
    files_total: int
    """0 until the home has been walked."""
    files_done: int
    files_unreadable: int
    threads_pruned: int
    started_at_ms: int | None
    updated_at_ms: int | None
    completed_at_ms: int | None
    last_error: str | None

    @property
    def progress(self) -> str:
        """How far it is: ``5 of 8 files``, or ``5 files`` while the total is not known."""
        return done_of(self.files_done, self.files_total)

    def is_being_worked_on(self, at_ms: int) -> bool:
        """Whether some worker holds the lease and may be alive."""
        held = self.status == "running" and self.lease_expires_at_ms > at_ms
        return held and self.owner is not None and not self.owner.is_dead()


class PushStatus(NamedTuple):
    """How far the fleet of an index is behind."""

    pushed_at_ms: int
    """When the last push was complete; 0 if none was."""
    level: str
    waiting: int
    """Threads that the next push sends."""
    last_error: str | None
    threads_total: int
    threads_done: int
    """Of the push that is running, or was the last."""
    status: str
    lease_expires_at_ms: int

    def is_running(self, at_ms: int) -> bool:
        """Whether some worker holds the lease."""
        return self.status == "running" and self.lease_expires_at_ms > at_ms


class Status(NamedTuple):
    """The condition of an index."""

    threads: int
    archived: int
    buckets: dict[str, int]
    """Files by bucket; their sum is the number of files."""
    damaged: int
    """Indexed files with unreadable lines."""
    left_out: int
    """Files with lines that are in no turn, because an earlier line has their ordinal."""
    backfill: BackfillStatus
    fulltext_pending: int
    """Threads that changed since they were added to the full-text index."""
    push: PushStatus | None
    """None if the index is in no fleet."""
    index_bytes: int


def backfill_steps() -> Steps[BackfillStatus]:
    """The state of the backfill. Raises IndexDamaged if somebody has deleted it."""
    rows = yield f"SELECT {', '.join(BackfillStatus._fields)} FROM backfill_state", []
    if not rows:
        path = (yield "PRAGMA database_list", [])[0][2]
        raise IndexDamaged(Path(path), "its table backfill_state is empty")
    found = BackfillStatus(*rows[0])
    if found.owner is None:
        return found
    from state.jobs.lease import Owner

    return found._replace(owner=Owner.parse(str(found.owner)))


def status_steps(index: Path) -> Steps[Status]:
    """The condition of the index, which is at that path."""
    counts = (
        "SELECT (SELECT count(*) FROM threads),"
        " (SELECT count(*) FROM threads WHERE facet >= '1'),"  # it begins so in the archive
        " (SELECT count(*) FROM rollout_files WHERE bad_lines > 0 AND bucket <> 'unreadable'),"
        " (SELECT count(*) FROM rollout_files WHERE left_out > 0),"
        " (SELECT count(*) FROM fulltext_pending)"
    )
    threads, archived, damaged, left_out, pending = (yield counts, [])[0]
    buckets = yield "SELECT bucket, count(*) FROM rollout_files GROUP BY bucket", []
    job = yield from backfill_steps()
    push = yield (
        "SELECT pushed_at_ms, level, (SELECT count(*) FROM fleet_outbox), last_error,"
        " threads_total, threads_done, status, lease_expires_at_ms FROM fleet_state WHERE joined",
        [],
    )
    pushed = PushStatus(*push[0]) if push else None
    size = size_of(index)
    return Status(threads, archived, dict(buckets), damaged, left_out, job, pending, pushed, size)


def problems_steps(limit: int) -> Steps[list[dict[str, Any]]]:
    """At most ``limit`` files that are unreadable or damaged, or have lines that are in no turn,
    newest name first."""
    asked = (
        f"SELECT {', '.join(_PROBLEM)} FROM rollout_files WHERE bucket = 'unreadable'"
        " OR (reason IS NOT NULL AND bucket <> 'ignored') OR left_out > 0"
        " ORDER BY +path DESC LIMIT ?"  # few are sorted sooner than all are walked in order
    )
    return [dict(zip(_PROBLEM, row, strict=True)) for row in (yield asked, [limit])]


def away_steps() -> Steps[list[Away]]:
    """What could not be accessed when the index last caught up with the files."""
    away = "bucket = 'ignored' AND instr(reason, ?) = 1"
    rows = yield f"SELECT path, reason FROM rollout_files WHERE {away}", [INACCESSIBLE]
    return [Away(*row) for row in rows]
