"""Set marks of threads: tags, a pin, a note, a status. They go to the journal first, to the index
second, and a pin to Codex's own database last, which has a column for it. No rollout is touched, so
archived threads have marks, too."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rollout.errors import RolloutError
from state.aio import finished
from state.edit.metadata import Changed
from state.edit.refresh import update_codex
from state.errors import StateError
from state.thread_index import ThreadIndex
from state.userdata.marks import PINNED, checked_marks, tag_key
from state.userdata.store import set_values, take_back


async def set_marks(
    index: ThreadIndex,
    thread_ids: Sequence[str],
    changes: Mapping[str, str | None],
    sqlite_home: Path | None = None,
    *,
    dry_run: bool = False,
) -> dict[str, Changed | StateError | RolloutError]:
    """Change marks of threads by their ids, by the keys of :mod:`state.userdata.marks`; None takes
    one back. Gives what became of each; the index and Codex follow with all of them at once.
    ``dry_run`` only checks them. ``sqlite_home`` is the value of ``CODEX_SQLITE_HOME``. Raises
    InvalidMark if one of ``changes`` cannot be kept."""
    values = checked_marks(changes)
    known = await index.existing(thread_ids)
    results: dict[str, Changed | StateError | RolloutError] = {}
    for id_ in thread_ids:
        try:
            results[id_] = Changed(id_ if id_ in known else (await index.thread(id_))["id"])
        except (StateError, RolloutError) as error:
            results[id_] = error
    going = {id_: each.thread_id for id_, each in results.items() if isinstance(each, Changed)}
    if not dry_run and going:
        done = await finished(_set(index, list(dict.fromkeys(going.values())), values, sqlite_home))
        results |= {id_: done[thread_id] for id_, thread_id in going.items()}
    return results


async def delete_tags(index: ThreadIndex, tags: Sequence[str]) -> None:
    """Take tags from all threads, also from those that are in the trash. Raises InvalidMark if one
    cannot be a tag, FileUnusable if the journal cannot be written, and IndexBusy if another process
    holds the index; then the tags that were not taken yet stay."""
    for key in [*map(tag_key, tags)]:
        await finished(take_back(index.database, key))


async def _set(
    index: ThreadIndex,
    thread_ids: Sequence[str],
    values: Mapping[str, str | None],
    sqlite_home: Path | None,
) -> dict[str, Changed | StateError | RolloutError]:
    try:
        await set_values(index.database, thread_ids, values)
    except StateError as error:
        return dict.fromkeys(thread_ids, error)
    codex_error = None
    if PINNED in values:
        pins = {id_: {PINNED: values[PINNED]} for id_ in thread_ids}
        codex_error = await update_codex(index, pins, sqlite_home)
    return {id_: Changed(id_, codex_error=codex_error) for id_ in thread_ids}
