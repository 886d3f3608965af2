"""``archive``, ``unarchive`` and ``delete``: threads that are named, or chosen as ``list`` does."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import typer

from cli.arguments.filters import Selection
from cli.arguments.locations import Locations
from cli.runtime.batch import (
    Entry,
    Error,
    error_json,
    find,
    named,
    needs_confirmation,
    report_errors,
    status_of,
)
from cli.runtime.open_index import catch_up_and_report, with_index
from cli.terminal import output
from cli.terminal.progress import progress
from cli.terminal.text import one_line, plural
from rollout.files.move import MoveGroup
from state.edit.archive import move_threads
from state.edit.move_plan import Action, MoveOutcome
from state.query.thread_json import display_name, display_text
from state.thread_index import ThreadIndex

_DONE: Final = {
    Action.ARCHIVE: "archived",
    Action.UNARCHIVE: "unarchived",
    Action.DELETE: "trashed",
    Action.PURGE: "purged",
}
_ASKED: Final = {
    Action.ARCHIVE: "Archive",
    Action.UNARCHIVE: "Take out of the archive",
    Action.DELETE: "Move to the trash",
    Action.PURGE: "Remove for good",
}
_SHOWN: Final = 20
"""Threads that are shown before it is asked."""


@dataclass(slots=True)
class _Result:
    """What became of what was chosen."""

    outcomes: list[MoveOutcome] = field(default_factory=list)
    not_found: list[Entry] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False


def run(locations: Locations, action: Action, chosen: Selection, *, archived: bool = False) -> int:
    """Archive, unarchive or delete what was chosen, by filters among the ``archived`` threads or
    the others. Gives the exit status: that of the gravest error."""
    references = named(chosen)
    query = chosen.query(archived=archived)
    much = query is not None or action in (Action.DELETE, Action.PURGE)
    asks = much and needs_confirmation(chosen)

    async def work(index: ThreadIndex) -> _Result:
        await catch_up_and_report(index)
        entries = await find(index, references, query)
        ids = [entry.thread_id for entry in entries if entry.thread_id]
        result = _Result(not_found=[entry for entry in entries if entry.error])
        planned = await move_threads(index, action, ids, locations.sqlite_home, dry_run=True)
        result.outcomes = planned
        result.labels = await _labels(index, planned)
        if not chosen.dry_run and (not asks or _confirmed(action, result)):
            result.outcomes = []
            try:
                with progress(str(action), "threads") as report:
                    await move_threads(
                        index,
                        action,
                        ids,
                        locations.sqlite_home,
                        report=report,
                        outcomes=result.outcomes,
                    )
            except asyncio.CancelledError:
                result.interrupted = True  # what was done by then is told
        elif asks:
            result.outcomes = []
        return result

    result = with_index(locations, work)
    if chosen.as_json:
        output.data(_document(action, chosen, result))
    else:
        _tell(action, chosen, result)
    return status_of(result.outcomes, _errors(result), interrupted=result.interrupted)


async def _labels(index: ThreadIndex, outcomes: Sequence[MoveOutcome]) -> dict[str, str]:
    ids = [id_ for o in outcomes if o.group for id_ in o.group.thread_ids]
    found = await index.rows_of(ids)
    return {id_: display_name(row) or display_text(row) for id_, row in found.items()}


def _confirmed(action: Action, result: _Result) -> bool:
    """Show what would be done, and ask."""
    moved = [id_ for group in _groups(result) for id_ in group.thread_ids]
    if not moved:
        return True  # what is refused is told
    for id_ in moved[:_SHOWN]:
        output.say(f"{id_}  {one_line(result.labels.get(id_, ''))[:60]}")
    if len(moved) > _SHOWN:
        output.say(f"and {len(moved) - _SHOWN:,} more")
    return typer.confirm(f"{_ASKED[action]}: {plural(len(moved), 'thread')}?", err=True)


def _groups(result: _Result) -> list[MoveGroup]:
    return [o.group for o in result.outcomes if o.group and not o.error]


def _errors(result: _Result) -> list[Error]:
    refused = [outcome.error for outcome in result.outcomes if outcome.error]
    return [*(entry.error for entry in result.not_found if entry.error), *refused]


def _tell(action: Action, chosen: Selection, result: _Result) -> None:
    groups = _groups(result)
    done = f"would be {_DONE[action]}" if chosen.dry_run else _DONE[action]
    output.lines(
        "\t".join((id_, done, one_line(result.labels.get(id_, ""))))
        for group in groups
        for id_ in group.thread_ids
    )
    report_errors(_errors(result))
    trashed = [group.trash for group in groups if group.trash and not group.purge]
    if trashed and not chosen.dry_run:
        where = trashed[0] if len(trashed) == 1 else trashed[0].split("/")[0]
        output.say(f"In the trash, {where} below the home, until you remove it.")


def _document(action: Action, chosen: Selection, result: _Result) -> dict[str, Any]:
    entries: list[dict[str, Any]] = [
        _entry(None, None, error=entry.error, reference=entry.reference)
        for entry in result.not_found
    ]
    for outcome in result.outcomes:
        if outcome.error:
            entries.append(_entry(outcome.thread_id, None, error=outcome.error))
        elif outcome.group:
            entries += [
                _entry(id_, outcome.group, done=not chosen.dry_run)
                for id_ in outcome.group.thread_ids
            ]
    return {
        "version": 1,
        "action": str(action),
        "dryRun": chosen.dry_run,
        "interrupted": result.interrupted,
        "threads": entries,
    }


def _entry(
    thread_id: str | None,
    group: MoveGroup | None,
    *,
    done: bool = False,
    error: Error | None = None,
    reference: str | None = None,
) -> dict[str, Any]:
    along = group is not None and group.thread_id != thread_id
    moves = [move for move in group.moves if move.thread_id == thread_id] if group else []
    return {
        "id": thread_id,
        "reference": reference,
        "done": done,
        "with": group.thread_id if group and along else None,
        "files": [
            {"from": move.source, "to": None if group and group.purge else move.target}
            for move in moves
        ],
        "error": error_json(error),
    }
