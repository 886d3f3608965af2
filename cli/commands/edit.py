"""``rename``, ``git-info``, ``memory`` and ``fork``: changes of each thread by itself."""

from collections.abc import Mapping, Sequence

import typer

from cli.arguments.filters import Selection
from cli.arguments.locations import Locations
from cli.runtime import batch as each
from cli.runtime.batch import AppliedChange
from cli.terminal import output
from cli.terminal.text import one_line
from state.edit.fork import fork_thread
from state.edit.metadata import (
    MEMORY_MODES,
    Changed,
    git_info,
    set_git_info,
    set_memory_mode,
    set_name,
)
from state.edit.refresh import refresh_names
from state.thread_index import ThreadIndex


def run_rename(locations: Locations, reference: str, name: str | None, chosen: Selection) -> int:
    """Name a thread, or those on stdin: ``ID<TAB>NAME``. Gives the exit status."""
    if (reference == "-") != (name is None):
        raise typer.BadParameter("give THREAD and NAME, or - for lines of both on stdin")
    pairs = {reference: name or ""}
    if name is None:
        pairs = _pairs(each.stdin_lines())
    word = "would be called" if chosen.dry_run else "is called"

    async def act(index: ThreadIndex, id_: str, reference: str) -> AppliedChange:
        changed, kept = await set_name(
            index,
            id_,
            pairs[reference],
            locations.sqlite_home,
            dry_run=chosen.dry_run,
            refresh=False,
        )
        if not chosen.as_json:
            output.say(f"{id_} {word} {one_line(kept)} now.")
        return AppliedChange(
            {"name": kept}, indexed=changed.indexed, codex_error=changed.codex_error
        )

    return each.run(locations, "rename", chosen, act, references=list(pairs), after=refresh_names)


def _pairs(lines: Sequence[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        thread, tab, name = line.partition("\t")
        if not tab or "\t" in name:
            shown = one_line(line)[:60]
            raise typer.BadParameter(f"an id, a tab and a name stand on each line, not {shown!r}")
        found[thread.strip()] = name
    return found


def run_git_info(
    locations: Locations, changes: Mapping[str, str | None], chosen: Selection, *, archived: bool
) -> int:
    """Show git facts of threads, or change them first. Gives the exit status."""
    if chosen.dry_run and not changes:
        raise typer.BadParameter("--dry-run goes with something to set")
    names = {"sha": "commit_hash", "branch": "branch", "originUrl": "repository_url"}

    async def act(index: ThreadIndex, id_: str, _: str) -> AppliedChange:
        if changes:
            changed, git = await set_git_info(
                index, id_, changes, locations.sqlite_home, dry_run=chosen.dry_run
            )
        else:
            changed, git = Changed(id_), await git_info(index, id_)
        told = {name: git.get(key) for name, key in names.items()}
        words = [one_line(value or "-") for value in told.values()]
        if chosen.dry_run:
            words.append("would be set")
        return AppliedChange(
            {"gitInfo": told}, "\t".join((id_, *words)), changed.indexed, changed.codex_error
        )

    return each.run(locations, "git-info", chosen, act, archived=archived, reads=not changes)


def run_memory(locations: Locations, mode: str, chosen: Selection) -> int:
    """Set the memory mode of threads. Gives the exit status."""
    if mode not in MEMORY_MODES:
        raise typer.BadParameter(f"the last word is one of {', '.join(MEMORY_MODES)}")
    word = f"would be {mode}" if chosen.dry_run else mode

    async def act(index: ThreadIndex, id_: str, _: str) -> AppliedChange:
        changed = await set_memory_mode(
            index, id_, mode, locations.sqlite_home, dry_run=chosen.dry_run
        )
        return AppliedChange(
            {"memoryMode": mode}, f"{id_}\t{word}", changed.indexed, changed.codex_error
        )

    return each.run(locations, "memory", chosen, act)


def run_fork(
    locations: Locations, chosen: Selection, *, last_turn: str | None, before_turn: str | None
) -> int:
    """Fork threads. Gives the exit status."""
    if last_turn is not None and before_turn is not None:
        raise typer.BadParameter("--through-turn and --before-turn exclude each other")
    alone = len(chosen.references) == 1 and "-" not in chosen.references
    if not (last_turn is None and before_turn is None) and not alone:
        raise typer.BadParameter("turns have ids of their own: name one thread")

    async def act(index: ThreadIndex, id_: str, _: str) -> AppliedChange:
        fork = await fork_thread(
            index,
            id_,
            last_turn=last_turn,
            before_turn=before_turn,
            dry_run=chosen.dry_run,
            refresh=False,
        )
        if chosen.dry_run:
            facts = {"forkId": None, "path": None, "name": fork.name}
            return AppliedChange(facts, f"{id_}\twould be forked")
        if not chosen.as_json:
            output.say(f"Forked from {id_}. Go on with it: codex resume {fork.thread_id}")
        path = str(locations.home / fork.path)
        facts = {"forkId": fork.thread_id, "path": path, "name": fork.name}
        return AppliedChange(facts, fork.thread_id, fork.indexed)

    return each.run(locations, "fork", chosen, act, after=refresh_names)
