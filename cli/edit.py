"""``rename``, ``git-info`` and ``memory``: what a thread is called, and a few facts about it."""

from collections.abc import Mapping
from typing import Any

import typer

from cli import errors, moves, output
from cli.options import Places
from cli.run import caught_up, with_index
from rollout.errors import RolloutError
from state.edit import MEMORY_MODES, Changed, set_git_info, set_memory_mode, set_name
from state.errors import StateError
from state.index import ThreadIndex

Error = StateError | RolloutError
_Entry = tuple[str, Changed | None, Error | None]
"""A thread or what was to be one, what became of it, and why nothing did."""


def run_rename(places: Places, reference: str, name: str, *, as_json: bool) -> int:
    """Name a thread. Gives the exit status."""

    async def work(index: ThreadIndex) -> tuple[Changed, str]:
        await _catch_up(index)
        return await set_name(index, reference, name, places.sqlite_home)

    changed, kept = with_index(places, work)
    if as_json:
        told = {"id": changed.thread_id, "name": kept, "indexed": changed.indexed}
        output.data({"version": 1, **told, "note": changed.note})
    else:
        output.say(f"{changed.thread_id} is called {output.one_line(kept)} now.")
        _tell_more(changed)
    return errors.OK


def run_git_info(
    places: Places, reference: str, changes: Mapping[str, str | None], *, as_json: bool
) -> int:
    """Show git facts of a thread, or change them first. Gives the exit status."""

    async def work(index: ThreadIndex) -> tuple[Changed, dict[str, Any]]:
        await _catch_up(index)
        if changes:
            changed = await set_git_info(index, reference, changes, places.sqlite_home)
        else:
            changed = Changed((await index.thread(reference))["id"])
        row = await index.thread(changed.thread_id)
        names = {"sha": "git_sha", "branch": "git_branch", "originUrl": "git_origin_url"}
        return changed, {name: row[column] for name, column in names.items()}

    changed, git = with_index(places, work)
    if as_json:
        told = {"id": changed.thread_id, "gitInfo": git, "indexed": changed.indexed}
        output.data({"version": 1, **told, "note": changed.note})
    else:
        output.lines(f"{name:<10} {output.one_line(value)}" for name, value in git.items() if value)
        if not any(git.values()):
            output.say("Nothing is known of its repository.")
        _tell_more(changed)
    return errors.OK


def run_memory(places: Places, mode: str, chosen: moves.Chosen) -> int:
    """Set the memory mode of what was chosen. Gives the exit status: that of the gravest error."""
    if mode not in MEMORY_MODES:
        raise typer.BadParameter(f"the last word is one of {', '.join(MEMORY_MODES)}")
    if bool(chosen.references) == bool(chosen.query):
        raise typer.BadParameter("name threads, or choose them with --cwd, --search and the like")
    if chosen.query and not (chosen.yes or chosen.dry_run):
        raise typer.BadParameter("many threads at once need --yes (or --dry-run)")
    references = list(moves.named(chosen.references))

    async def set_one(index: ThreadIndex, id_: str) -> tuple[Changed | None, Error | None]:
        try:
            return await set_memory_mode(
                index, id_, mode, places.sqlite_home, dry_run=chosen.dry_run
            ), None
        except (StateError, RolloutError) as error:
            return None, error

    async def work(index: ThreadIndex) -> list[_Entry]:
        await _catch_up(index)
        not_found, ids = await moves.find(index, references, chosen.query)
        entries: list[_Entry] = [(reference, None, error) for reference, error in not_found]
        for id_ in ids:
            entries.append((id_, *await set_one(index, id_)))
        return entries

    entries = with_index(places, work)
    failed = [error for _, _, error in entries if error]
    if chosen.as_json:
        output.data(
            {
                "version": 1,
                "memoryMode": mode,
                "dryRun": chosen.dry_run,
                "threads": [_entry_json(entry, chosen.dry_run) for entry in entries],
            }
        )
    else:
        word = f"would be {mode}" if chosen.dry_run else mode
        output.lines(f"{id_}\t{word}" for id_, _, error in entries if error is None)
        for error in failed:
            output.say(f"threadkeep: {output.one_line(str(error))}\n  {errors.outcome(error).hint}")
        for told in {(c.note, c.indexed): c for _, c, _ in entries if c}.values():
            _tell_more(told)
    return max(
        (errors.outcome(error).status for error in failed),
        default=errors.OK if entries else errors.NO_MATCH,
    )


def _entry_json(entry: _Entry, dry_run: bool) -> dict[str, Any]:
    reference, changed, error = entry
    return {
        "id": changed.thread_id if changed else None,
        "reference": reference,
        "done": changed is not None and not dry_run,
        "indexed": changed.indexed if changed else None,
        "note": changed.note if changed else None,
        "error": errors.document(error)["error"] if error else None,
    }


async def _catch_up(index: ThreadIndex) -> None:
    note = await caught_up(index)
    if note:
        output.say(note)


def _tell_more(changed: Changed) -> None:
    if changed.note:
        output.say(f"Codex may go on with what it had: {changed.note}.")
    if not changed.indexed:
        output.say(errors.NOT_INDEXED)
