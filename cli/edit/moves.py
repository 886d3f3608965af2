"""Archive, unarchive and delete: threads that are named, or selected as ``list`` does."""

import asyncio
from functools import partial
from typing import Final

from cli.arguments.filters import Selection
from cli.arguments.locations import Locations
from cli.edit import batch
from cli.edit.move_report import MoveResult, Words, confirmed, report, shown_count
from cli.render.labels import label
from cli.runtime.open_index import catch_up_and_report, with_index
from cli.terminal import output
from cli.terminal.progress import progress
from cli.terminal.text import amount
from rollout.files.trash import size_of_trash
from state.edit.archive import move_threads
from state.edit.move_plan import Action
from state.thread_index import ThreadIndex

_WORDS: Final = {
    Action.ARCHIVE: Words("archive", "archived", "Archive", "Archived"),
    Action.UNARCHIVE: Words(
        "unarchive", "unarchived", "Restore from the archive", "Restored from the archive"
    ),
    Action.DELETE: Words(
        "delete", "trashed", "Move to the trash", "Moved to the trash", quiet=False
    ),
    Action.PURGE: Words(
        "purge", "purged", "Remove permanently", "Removed permanently", quiet=False, frees=True
    ),
}
_LABELLED_TOGETHER: Final = 500


def move(
    locations: Locations, action: Action, selection: Selection, *, archived: bool = False
) -> int:
    """Archive, unarchive or delete the selected threads; filters select among the ``archived``
    threads or the others. Returns the exit status: that of the gravest error."""
    references = batch.named(selection.references)
    query = selection.query(archived=archived)
    sensitive = query is not None or action in (Action.DELETE, Action.PURGE)
    asks = sensitive and batch.needs_confirmation(selection)
    words = _WORDS[action]

    async def work(index: ThreadIndex) -> MoveResult:
        await catch_up_and_report(index)
        entries = await batch.find(index, references, query)
        ids = [entry.thread_id for entry in entries if entry.thread_id]
        result = MoveResult(not_found=[entry for entry in entries if entry.error])
        del entries
        result.outcomes = await move_threads(
            index, action, ids, locations.sqlite_home, dry_run=True
        )
        await _describe(index, result, as_json=selection.as_json)
        if selection.dry_run:
            return result
        agreed = not asks or confirmed(words, result)
        result.outcomes = []
        if not agreed:
            return result
        try:
            with progress(str(action), "threads") as shown:
                await move_threads(
                    index,
                    action,
                    ids,
                    locations.sqlite_home,
                    report=shown,
                    outcomes=result.outcomes,
                )
        except asyncio.CancelledError:
            result.interrupted = True  # what was done by then is reported
        if action is Action.DELETE and result.groups:
            await _say_where(index, result)
        return result

    result = with_index(locations, work)
    return report(words, result, as_json=selection.as_json, dry_run=selection.dry_run)


async def _describe(index: ThreadIndex, result: MoveResult, *, as_json: bool) -> None:
    """Look up what is shown of the threads, before they may be gone."""
    ids = result.thread_ids
    first = ids[: shown_count()]
    rows = await index.rows_of(first)
    result.rows = [rows[id_] for id_ in first if id_ in rows]
    result.short_ids = await index.short_ids(first)
    if as_json or output.on_terminal():
        return
    for start in range(0, len(ids), _LABELLED_TOGETHER):
        rows = await index.rows_of(ids[start : start + _LABELLED_TOGETHER])
        result.titles |= {id_: label(row) for id_, row in rows.items()}


async def _say_where(index: ThreadIndex, result: MoveResult) -> None:
    """Say how deleted threads come back, and what they still take."""
    trash = result.groups[0].trash or ""
    delete_id = trash.rpartition("/")[2]
    size = await index.database.workers.run(partial(size_of_trash, index.home))
    result.notes = [
        f"To put them back: threadkeep trash restore {delete_id}",
        f"To free {amount(size)}B: threadkeep trash empty",
    ]
    result.fields = {"trash": {"id": delete_id, "path": trash, "bytes": size}}
