"""``threadkeep status``."""

import time
from typing import TYPE_CHECKING, Any

import typer

from cli import errors
from cli.arguments.locations import Locations
from cli.arguments.options import JsonOption, locations
from cli.terminal import output
from cli.terminal.text import amount, iso, one_line, plural

if TYPE_CHECKING:
    from state.thread_index import Status, ThreadIndex

_SHOWN_PROBLEMS = 20


def command(context: typer.Context, as_json: JsonOption = False) -> int:
    """Show the state of the index: the backfill, the counts, unreadable files. Writes nothing."""
    from cli.runtime.open_index import read_index
    from state.sync.sync import follows_inputs

    async def work(index: "ThreadIndex") -> "tuple[Status, list[dict[str, Any]], dict[str, Any]]":
        changes = await index.pending()
        oldest = min((file.stamp.mtime_ns for file in changes.to_read), default=None)
        pending = {
            "toRead": len(changes.to_read),
            "vanished": len(changes.vanished),
            "names": not await follows_inputs(index.database, index.home),
            "since": None if oldest is None else iso(oldest // 1_000_000),
        }
        return await index.status(), await index.problems(_SHOWN_PROBLEMS + 1), pending

    here = locations(context)
    status, problems, pending = read_index(here, work, recovering=False)
    cut = len(problems) > _SHOWN_PROBLEMS
    problems = problems[:_SHOWN_PROBLEMS]
    if as_json:
        output.data(_document(here, status, problems, pending, cut))
    else:
        _print(here, status, problems, pending, cut)
    return errors.OK


def _document(
    here: Locations,
    status: "Status",
    problems: list[dict[str, Any]],
    pending: dict[str, Any],
    cut: bool,
) -> dict[str, Any]:
    job = status.backfill
    return {
        "version": 1,
        "home": str(here.home),
        "index": str(here.index),
        "indexBytes": status.index_bytes,
        "threads": status.threads,
        "archived": status.archived,
        "files": sum(status.buckets.values()),
        "buckets": status.buckets,
        "damaged": status.damaged,
        "leftOut": status.left_out,
        "pending": pending,
        "search": {"toIndex": status.fulltext_pending},
        "backfill": {
            "status": job.status,
            "active": job.is_being_worked_on(_now_ms()),
            "owner": str(job.owner) if job.owner else None,
            "fence": job.fence,
            "watermark": job.watermark,
            "filesTotal": job.files_total,
            "filesDone": job.files_done,
            "filesUnreadable": job.files_unreadable,
            "startedAt": iso(job.started_at_ms) or None,
            "completedAt": iso(job.completed_at_ms) or None,
            "lastError": job.last_error,
        },
        "problems": [
            {
                "path": problem["path"],
                "bucket": problem["bucket"],
                "threadId": problem["thread_id"],
                "reason": problem["reason"],
                "offset": problem["reason_offset"],
                "badLines": problem["bad_lines"],
                "leftOutLines": problem["left_out"],
                "leftOutOffset": problem["left_out_at"],
            }
            for problem in problems
        ],
        "problemsCut": cut,
    }


def _print(
    here: Locations,
    status: "Status",
    problems: list[dict[str, Any]],
    pending: dict[str, Any],
    cut: bool,
) -> None:
    job = status.backfill
    output.line(f"home      {here.home}")
    output.line(f"index     {here.index} ({amount(status.index_bytes)}B)")
    output.line(f"threads   {status.threads:,}, of them {status.archived:,} archived")
    order = ("indexed", "segment", "duplicate", "unreadable", "ignored")
    buckets = [f"{status.buckets[name]:,} {name}" for name in order if status.buckets.get(name)]
    total = sum(status.buckets.values())
    output.line(f"files     {total:,}" + (f": {', '.join(buckets)}" if buckets else ""))
    if any(pending.values()):
        parts = [f"{pending['toRead']:,} to read", f"{pending['vanished']:,} vanished"]
        if pending["names"]:
            parts.append("names")
        if pending["since"]:
            parts.append(f"the oldest change of {pending['since']}")
        output.line(f"behind    {', '.join(parts)} (threadkeep sync)")
    else:
        output.line("behind    nothing: the index is up to date with the files")
    if job.status == "complete":
        output.line(f"backfill  complete since {iso(job.completed_at_ms)}")
    elif job.is_being_worked_on(_now_ms()):
        output.line(f"backfill  running: {job.progress}, by {job.owner}")
    else:
        done = f" after {job.progress}" if job.files_done else ""
        word = "pending" if job.status == "pending" else f"interrupted{done}"
        output.line(f"backfill  {word} (threadkeep backfill)")
    if status.fulltext_pending:
        output.line(
            f"search    {plural(status.fulltext_pending, 'thread')} to index (threadkeep search)"
        )
    if job.last_error:
        output.line(f"          last error: {one_line(job.last_error)}")
    for problem in problems:
        _print_problem(problem)
    if cut:
        output.line(f"          … and more; these are the newest {_SHOWN_PROBLEMS}")


def _print_problem(problem: dict[str, Any]) -> None:
    path = one_line(problem["path"])
    if problem["reason"] is not None:
        where = f" at byte {problem['reason_offset']:,}" if problem["reason_offset"] else ""
        count = problem["bad_lines"]
        lines = f" ({plural(count, 'bad line')})" if count else ""
        word = "unreadable" if problem["bucket"] == "unreadable" else "damaged"
        reason = one_line(problem["reason"])
        output.line(f"{word:<9} {path}: {reason}{where}{lines}")
    if problem["left_out"]:
        lines = plural(problem["left_out"], "line")
        where = f"the first at byte {problem['left_out_at']:,}"
        why = "a second program wrote them"
        output.line(f"left out  {path}: {lines} in no turn, as {why}; {where}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
