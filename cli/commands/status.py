"""``threadkeep status``."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from cli import errors
from cli.arguments.locations import Locations
from cli.arguments.options import JsonOption, locations
from cli.terminal import output
from cli.terminal.text import amount, iso, one_line, plural

if TYPE_CHECKING:
    from state.jobs.progress import Away
    from state.thread_index import Status, ThreadIndex

_SHOWN_PROBLEMS = 20


def command(context: typer.Context, as_json: JsonOption = False) -> int:
    """Show the state of the index: the backfill, the counts, unreadable files. Writes nothing."""
    from cli.runtime.open_index import read_index
    from state.sync.sync import away_in, follows_inputs

    async def work(index: "ThreadIndex") -> "_Found":
        changes = await index.pending()
        oldest = min((file.stamp.mtime_ns for file in changes.to_read), default=None)
        pending = {
            "toRead": len(changes.to_read),
            "vanished": len(changes.vanished),
            "names": not await follows_inputs(index.database, index.home),
            "since": None if oldest is None else iso(oldest // 1_000_000),
        }
        problems = await index.problems(_SHOWN_PROBLEMS + 1)
        return _Found(await index.status(), problems, pending, away_in(changes))

    here = locations(context)
    found = read_index(here, work, recovering=False)
    if as_json:
        output.data(_document(here, found))
    else:
        _print(here, found)
    return errors.OK


@dataclass(frozen=True, slots=True)
class _Found:
    status: "Status"
    problems: list[dict[str, Any]]
    """One more than is shown if there are more."""
    pending: dict[str, Any]
    away: "list[Away]"


def _document(here: Locations, found: _Found) -> dict[str, Any]:
    status = found.status
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
        "pending": found.pending,
        "away": [entry._asdict() for entry in found.away],
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
            for problem in found.problems[:_SHOWN_PROBLEMS]
        ],
        "problemsCut": len(found.problems) > _SHOWN_PROBLEMS,
    }


def _print(here: Locations, found: _Found) -> None:
    status, pending = found.status, found.pending
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
        some = found.away or any(p["bucket"] == "unreadable" for p in found.problems)
        which = "the files that can be read" if some else "the files"
        output.line(f"behind    nothing: the index is up to date with {which}")
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
    for path, reason in found.away[:_SHOWN_PROBLEMS]:
        output.line(f"away      {one_line(path)}: {one_line(reason)}; make it accessible")
    if len(found.away) > _SHOWN_PROBLEMS:
        output.line(f"          … and {len(found.away) - _SHOWN_PROBLEMS:,} more")
    for problem in found.problems[:_SHOWN_PROBLEMS]:
        _print_problem(problem)
    if len(found.problems) > _SHOWN_PROBLEMS:
        output.line(f"          … and more; these are the newest {_SHOWN_PROBLEMS}")


def _print_problem(problem: dict[str, Any]) -> None:
    path = one_line(problem["path"])
    if problem["reason"] is not None:
        where = f" at byte {problem['reason_offset']:,}" if problem["reason_offset"] else ""
        count = problem["bad_lines"]
        lines = f" ({plural(count, 'bad line')})" if count else ""
        word = "unreadable" if problem["bucket"] == "unreadable" else "damaged"
        reason = one_line(problem["reason"])
        again = "; make it readable, then threadkeep sync" if problem["retry"] else ""
        output.line(f"{word:<9} {path}: {reason}{where}{lines}{again}")
    if problem["left_out"]:
        lines = plural(problem["left_out"], "line")
        where = f"the first at byte {problem['left_out_at']:,}"
        why = "a second program wrote them"
        output.line(f"left out  {path}: {lines} in no turn, as {why}; {where}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
