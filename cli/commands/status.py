"""``threadkeep status``."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import typer

from cli import errors
from cli.arguments.locations import Locations
from cli.arguments.options import JsonOption, locations
from cli.render.health.status import backfill_text, files_text, problem_lines
from cli.terminal import output
from cli.terminal.cells import labelled
from cli.terminal.text import amount, iso, one_line, plural

if TYPE_CHECKING:
    from state.db.steps import Steps
    from state.jobs.progress import Away
    from state.rows.ledger import Changes
    from state.sync.status import PushStatus, Status
    from state.thread_index import ThreadIndex

_SHOWN_PROBLEMS: Final = 20
_LABEL: Final = 10
"""The width of what stands before each line."""


def command(context: typer.Context, as_json: JsonOption = False) -> int:
    """Show the state of the index: the backfill, the counts, unreadable files. Writes nothing."""
    from cli.runtime.in_step import in_step
    from state.rows.ledger import Changes

    here = locations(context)
    nothing = _steps(here.index, Changes(), names=False)
    found = in_step(here, lambda reader: reader.read(nothing))
    if found is None:
        from cli.runtime.open_index import read_index

        found = read_index(here, _thoroughly, recovering=False)
    if as_json:
        output.data(_document(here, found))
    else:
        _print(here, found)
    return errors.OK


class _Found(NamedTuple):
    status: "Status"
    problems: list[dict[str, Any]]
    """One more than is shown if there are more."""
    pending: dict[str, Any]
    oldest_ms: int | None
    """The oldest change that the index does not have."""
    away: "list[Away]"


async def _thoroughly(index: "ThreadIndex") -> _Found:
    from state.sync.sync import follows_inputs

    changes = await index.pending()
    names = not await follows_inputs(index.database, index.home)
    return await index.database.query(_steps(index.database.path, changes, names=names))


def _steps(index: Path, changes: "Changes", *, names: bool) -> "Steps[_Found]":
    from state.rows.ledger import away_in
    from state.sync.status import problems_steps, status_steps

    oldest = min((file.stamp.mtime_ns // 1_000_000 for file in changes.to_read), default=None)
    pending = {
        "toRead": len(changes.to_read),
        "vanished": len(changes.vanished),
        "names": names,
        "since": iso(oldest) or None,
    }
    problems = yield from problems_steps(_SHOWN_PROBLEMS + 1)
    status = yield from status_steps(index)
    return _Found(status, problems, pending, oldest, away_in(changes))


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
        "push": status.push
        and {
            "level": status.push.level,
            "waiting": status.push.waiting,
            "active": status.push.is_running(_now_ms()),
            "pushedAt": iso(status.push.pushed_at_ms or None) or None,
            "lastError": status.push.last_error,
        },
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
    status = found.status
    archived = f", {status.archived:,} of them archived" if status.archived else ""
    lines = [
        ("home", one_line(str(here.home))),
        ("index", f"{one_line(str(here.index))} ({amount(status.index_bytes)}B)"),
        ("threads", f"{status.threads:,}{archived}"),
        ("files", files_text(status.buckets)),
        ("changes", _changes(found)),
        ("backfill", backfill_text(status.backfill, _now_ms(), output.moment)),
    ]
    if status.fulltext_pending:
        threads = plural(status.fulltext_pending, "thread")
        lines.append(("search", f"{threads} still to index: the next threadkeep search does it"))
    if status.push:
        lines += _push(status.push)
    if status.backfill.last_error:
        lines.append(("", f"last error: {one_line(status.backfill.last_error)}"))
    for path, reason in found.away[:_SHOWN_PROBLEMS]:
        lines.append(("skipped", f"{one_line(path)}: {one_line(reason)}; make it accessible"))
    if len(found.away) > _SHOWN_PROBLEMS:
        lines.append(("", f"… and {len(found.away) - _SHOWN_PROBLEMS:,} more"))
    for problem in found.problems[:_SHOWN_PROBLEMS]:
        lines += problem_lines(problem)
    if len(found.problems) > _SHOWN_PROBLEMS:
        lines.append(("", f"… and more; these are the newest {_SHOWN_PROBLEMS}"))
    width = output.width() if output.on_terminal() else None
    output.lines(labelled(lines, _LABEL, width))


def _push(push: "PushStatus") -> list[tuple[str, str]]:
    last = output.moment(push.pushed_at_ms) if push.pushed_at_ms else "never complete"
    waiting = f"{plural(push.waiting, 'thread')} wait for threadkeep push"
    if push.waiting == 1:
        waiting = waiting.replace("wait", "waits")
    lines = [("fleet", f"last push: {last}{f'; {waiting}' if push.waiting else ''}")]
    if push.is_running(_now_ms()):
        lines = [("fleet", f"pushing: {push.threads_done:,} of {push.threads_total:,} threads")]
    if push.last_error:
        lines.append(("", f"last error: {one_line(push.last_error)}"))
    return lines


def _changes(found: _Found) -> str:
    pending = found.pending
    if not any(pending.values()):
        some = found.away or any(p["bucket"] == "unreadable" for p in found.problems)
        which = "the files that can be read" if some else "the files"
        return f"none: the index is up to date with {which}"
    parts = []
    if pending["toRead"]:
        since = f" (oldest change: {output.moment(found.oldest_ms)})" if found.oldest_ms else ""
        parts.append(f"{plural(pending['toRead'], 'file')} still to index{since}")
    if pending["vanished"]:
        gone = "is gone" if pending["vanished"] == 1 else "are gone"
        parts.append(f"{plural(pending['vanished'], 'file')} {gone}")
    if pending["names"]:
        parts.append("thread names changed")
    running = found.status.backfill.is_being_worked_on(_now_ms())
    reads = "the backfill reads them" if running else "threadkeep sync updates the index"
    return f"{'; '.join(parts)}: {reads}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
