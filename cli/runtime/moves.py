"""Archive, unarchive and delete: threads that are named, or selected as ``list`` does."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import typer

from cli.arguments.filters import Selection
from cli.arguments.locations import Locations
from cli.render.labels import label
from cli.runtime import batch
from cli.runtime.open_index import catch_up_and_report, with_index
from cli.terminal import output
from cli.terminal.progress import progress
from cli.terminal.text import one_line, plural
from rollout.files.move import MoveGroup
from state.edit.archive import move_threads
from state.edit.move_plan import Action, MoveOutcome
from state.thread_index import ThreadIndex

_DONE: Final = {
    Action.ARCHIVE: "archived",
    Action.UNARCHIVE: "unarchived",
    Action.DELETE: "trashed",
    Action.PURGE: "purged",
}
_QUESTIONS: Final = {
    Action.ARCHIVE: "Archive",
    Action.UNARCHIVE: "Restore from the archive",
    Action.DELETE: "Move to the trash",
    Action.PURGE: "Remove permanently",
}
_SHOWN: Final = 20
"""Threads that are shown before the user is asked."""


@dataclass(slots=True)
class _Result:
    outcomes: list[MoveOutcome] = field(default_factory=list)
    not_found: list[batch.Entry] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False


def move(
    locations: Locations, action: Action, selection: Selection, *, archived: bool = False
) -> int:
    """Archive, unarchive or delete the selected threads; filters select among the ``archived``
    threads or the others. Returns the exit status: that of the gravest error."""
    references = batch.named(selection.references)
    query = selection.query(archived=archived)
    sensitive = query is not None or action in (Action.DELETE, Action.PURGE)
    asks = sensitive and batch.needs_confirmation(selection)

    async def work(index: ThreadIndex) -> _Result:
        await catch_up_and_report(index)
        entries = await batch.find(index, references, query)
        ids = [entry.thread_id for entry in entries if entry.thread_id]
        result = _Result(not_found=[entry for entry in entries if entry.error])
        planned = await move_threads(index, action, ids, locations.sqlite_home, dry_run=True)
        result.outcomes = planned
        moved = [id_ for each in planned if each.group for id_ in each.group.thread_ids]
        result.labels = {id_: label(row) for id_, row in (await index.rows_of(moved)).items()}
        if not selection.dry_run and (not asks or _confirmed(action, result)):
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
                result.interrupted = True  # what was done by then is reported
        elif asks:
            result.outcomes = []
        return result

    result = with_index(locations, work)
    if selection.as_json:
        changed = bool(_groups(result)) and not selection.dry_run
        output.data(_document(action, selection, result), changed=changed)
    else:
        _print(action, selection, result)
    return batch.status_of(result.outcomes, _errors(result), interrupted=result.interrupted)


def _confirmed(action: Action, result: _Result) -> bool:
    moved = [id_ for group in _groups(result) for id_ in group.thread_ids]
    if not moved:
        return True  # the errors are reported
    for id_ in moved[:_SHOWN]:
        output.say(f"{id_}  {one_line(result.labels.get(id_, ''))[:60]}")
    if len(moved) > _SHOWN:
        output.say(f"and {len(moved) - _SHOWN:,} more")
    return typer.confirm(f"{_QUESTIONS[action]}: {plural(len(moved), 'thread')}?", err=True)


def _groups(result: _Result) -> list[MoveGroup]:
    return [o.group for o in result.outcomes if o.group and not o.error]


def _errors(result: _Result) -> list[batch.Error]:
    refused = [outcome.error for outcome in result.outcomes if outcome.error]
    return [*(entry.error for entry in result.not_found if entry.error), *refused]


def _print(action: Action, selection: Selection, result: _Result) -> None:
    groups = _groups(result)
    done = f"would be {_DONE[action]}" if selection.dry_run else _DONE[action]
    moved = (
        "\t".join((id_, done, one_line(result.labels.get(id_, ""))))
        for group in groups
        for id_ in group.thread_ids
    )
    output.lines(moved, changed=bool(groups) and not selection.dry_run)
    batch.report_errors(_errors(result))
    trashed = [group.trash for group in groups if group.trash and not group.purge]
    if trashed and not selection.dry_run:
        where = trashed[0] if len(trashed) == 1 else trashed[0].split("/")[0]
        output.say(f"They stay in {where} of the home until you remove them.")


def _document(action: Action, selection: Selection, result: _Result) -> dict[str, Any]:
    entries: list[dict[str, Any]] = [
        _entry(None, None, error=entry.error, reference=entry.reference)
        for entry in result.not_found
    ]
    for outcome in result.outcomes:
        if outcome.error:
            entries.append(_entry(outcome.thread_id, None, error=outcome.error))
        elif outcome.group:
            entries += [
                _entry(id_, outcome.group, done=not selection.dry_run)
                for id_ in outcome.group.thread_ids
            ]
    return {
        "version": 1,
        "action": str(action),
        "dryRun": selection.dry_run,
        "interrupted": result.interrupted,
        "threads": entries,
    }


def _entry(
    thread_id: str | None,
    group: MoveGroup | None,
    *,
    done: bool = False,
    error: batch.Error | None = None,
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
        "error": batch.error_json(error),
    }
