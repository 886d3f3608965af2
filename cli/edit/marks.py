"""Set marks of the threads that a command selects."""

from collections.abc import Callable, Mapping, Sequence

from cli.arguments.filters import Selection
from cli.arguments.locations import Locations
from cli.edit import batch
from cli.render.labels import marks_json
from state.edit.marks import set_marks
from state.edit.metadata import Changed
from state.query.marks import NO_MARKS, Marks, marks_steps, with_mark
from state.thread_index import ThreadIndex
from state.userdata.marks import checked_marks


def mark(
    locations: Locations,
    action: str,
    selection: Selection,
    changes: Mapping[str, str | None],
    shown: Callable[[Marks], str],
    *,
    archived: bool = False,
) -> int:
    """Set marks of the selected threads, by their keys; None takes one back. ``shown`` is what a
    line says of a thread's marks after it. Filters select among the ``archived`` threads or the
    others. Returns the exit status: that of the gravest error."""
    values = checked_marks(changes)  # before anything is asked or read
    would = "would be " if selection.dry_run else ""

    async def change(
        index: ThreadIndex, ids: Sequence[str]
    ) -> dict[str, batch.AppliedChange | batch.Error]:
        results = await set_marks(
            index, ids, values, locations.sqlite_home, dry_run=selection.dry_run
        )
        marks = await index.database.query(marks_steps(ids))
        applied: dict[str, batch.AppliedChange | batch.Error] = {}
        for id_, result in results.items():
            if not isinstance(result, Changed):
                applied[id_] = result
                continue
            after = marks.get(id_, NO_MARKS)
            for key, value in values.items():
                after = with_mark(after, key, value)
            fields = marks_json(after) or {"marks": {}}
            line = f"{id_}\t{would}{shown(after)}"
            applied[id_] = batch.AppliedChange(fields, line, result.indexed, result.codex_error)
        return applied

    return batch.run(locations, action, selection, batch.Together(change), archived=archived)
