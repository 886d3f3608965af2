"""Archive threads, and take them out of the archive."""

from collections.abc import Sequence
from typing import Final

from cli.browse.actions.acting import ActingApp
from cli.browse.actions.sentences import called, refusals
from cli.browse.dialogs import Question
from cli.edit.undo import put_back_files
from cli.terminal.text import plural
from rollout.files.move import MoveGroup
from state.edit.archive import move_threads
from state.edit.lineage import read_threads_steps
from state.edit.move_plan import Action, MoveOutcome
from state.jobs.progress import JobProgress

_MANY: Final = 10
"""More threads than so many are not moved without a question."""
_WORDS: Final = {
    Action.ARCHIVE: ("Archive", "Archiving", "Archived"),
    Action.UNARCHIVE: ("Unarchive", "Unarchiving", "Unarchived"),
}


async def archive(app: ActingApp, ids: Sequence[str]) -> None:
    """Archive those of the threads that are not, with all that they have spawned; if all are, take
    them out of the archive."""
    rows = await app.index.rows_of(ids)
    going = [id_ for id_ in ids if id_ in rows and not rows[id_]["archived"]]
    action = Action.ARCHIVE if going else Action.UNARCHIVE
    going = going or [*ids]
    ask, doing, done = _WORDS[action]
    nodes = await app.index.database.query(read_threads_steps(going))
    count = sum(node.archived != (action is Action.ARCHIVE) for node in nodes.values())
    unseen = await app.unseen() if app.chosen == [*ids] else 0
    if count > _MANY or unseen:
        along = f", with {plural(count - len(going), 'thread')} that they spawned"
        question = f"{ask} {plural(len(going), 'thread')}{along if count > len(going) else ''}?"
        if unseen:
            question += f" {plural(unseen, 'selected thread')} not in this list."
        if not await app.push_screen_wait(Question(question)):
            app.say("Nothing was changed.")
            return
    app.say(f"{doing} {plural(count, 'thread')} …")

    def report(counts: JobProgress) -> None:
        app.say(f"{doing}: {counts.done:,} of {counts.total:,} threads …")

    outcomes: list[MoveOutcome] = []
    try:
        await move_threads(
            app.index, action, going, app.here.sqlite_home, report=report, outcomes=outcomes
        )
    finally:
        groups = [each.group for each in outcomes if each.group and not each.error]
        moved = [id_ for group in groups for id_ in group.thread_ids]
        if moved:
            _can_undo(app, action, groups, f"{done.lower()} {plural(len(moved), 'thread')}")
            app.deselect(moved)
    refused = {each.thread_id: each.error for each in outcomes if each.error}
    along = f" and {plural(len(moved) - len(groups), 'thread')} that they spawned"
    told = called(rows, [group.thread_id for group in groups])
    told = f"{done} {told}{along if len(moved) > len(groups) else ''}. {app.how_undone}"
    app.say(f"{told if moved else 'Nothing was moved.'}{refusals(rows, refused)}")
    await app.reload()


def _can_undo(app: ActingApp, action: Action, groups: Sequence[MoveGroup], done: str) -> None:
    async def undo() -> str:
        outcomes = await put_back_files(app.index, action, groups, app.here.sqlite_home)
        refused = {each.thread_id: each.error for each in outcomes if each.error}
        return refusals(await app.index.rows_of([*refused]), refused)

    app.can_undo(done, undo)
