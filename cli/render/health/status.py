"""The condition of the index, in words."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from cli.terminal.text import duration, one_line, plural

if TYPE_CHECKING:
    from state.sync.status import BackfillStatus

_NOUNS: Final = ("segment", "duplicate")


def files_text(buckets: dict[str, int]) -> str:
    """How many files there are of each kind."""
    words = ("indexed", "segment", "duplicate", "unreadable", "ignored")
    counted = [
        plural(buckets[word], word) if word in _NOUNS else f"{buckets[word]:,} {word}"
        for word in words
        if buckets.get(word)
    ]
    return f"{sum(buckets.values()):,}" + (f": {', '.join(counted)}" if counted else "")


def backfill_text(job: "BackfillStatus", now_ms: int, moment: Callable[[int | None], str]) -> str:
    """How far the backfill is, and how to continue it; ``moment`` writes a time."""
    if job.status == "complete":
        return f"finished at {moment(job.completed_at_ms)}"
    if job.is_being_worked_on(now_ms):
        return f"running: {', '.join([job.progress, *_pace(job, now_ms), f'by {job.owner}'])}"
    if job.status == "pending":
        return "not started: threadkeep backfill starts it, and so does threadkeep list"
    done = f" after {job.progress}" if job.files_done else ""
    return f"interrupted{done}: threadkeep backfill continues it"


def _pace(job: "BackfillStatus", now_ms: int) -> list[str]:
    """How far a running job is, how fast, and how long it will take."""
    if not (job.files_total and job.files_done and job.started_at_ms):
        return []
    share = f"{100 * job.files_done // job.files_total}%"
    elapsed_s = (now_ms - job.started_at_ms) / 1000
    if elapsed_s <= 0:
        return [share]
    rate = job.files_done / elapsed_s
    left = duration(max(job.files_total - job.files_done, 0) / rate)
    return [share, f"{rate:,.0f} files/s", f"about {left} left"]


def problem_lines(problem: dict[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with a file, each with the word for it."""
    found = []
    path = one_line(problem["path"])
    if problem["reason"] is not None:
        where = f" at byte {problem['reason_offset']:,}" if problem["reason_offset"] else ""
        count = problem["bad_lines"]
        lines = f" ({plural(count, 'bad line')})" if count else ""
        word = "unreadable" if problem["bucket"] == "unreadable" else "damaged"
        reason = one_line(problem["reason"])
        again = "; make it readable, then threadkeep sync" if problem["retry"] else ""
        found.append((word, f"{path}: {reason}{where}{lines}{again}"))
    if problem["left_out"]:
        lines = plural(problem["left_out"], "line")
        where = f"the first at byte {problem['left_out_at']:,}"
        why = "a second program wrote them"
        found.append(("left out", f"{path}: {lines} outside any turn: {why}; {where}"))
    return found
