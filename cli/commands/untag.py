"""``threadkeep untag``."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from cli import errors
from cli.arguments.filters import Filters, Selection, takes_selection
from cli.arguments.locations import Locations
from cli.arguments.options import ArchivedOption, TagsArgument, locations
from cli.arguments.values import tags_of
from cli.terminal import output
from cli.terminal.text import one_line, plural

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex


@takes_selection
def command(
    context: typer.Context,
    tags: TagsArgument,
    archived: ArchivedOption = False,
    *,
    selection: Selection,
) -> int:
    """Take tags from threads; without threads and filters, from all of them."""
    here, given = locations(context), tags_of(tags)
    if not (selection.references or selection.filters != Filters() or archived):
        return _delete(here, given, selection)
    from cli.edit.marks import mark
    from state.userdata.marks import TAG

    changes = dict.fromkeys([TAG + tag for tag in given])
    return mark(
        here, "untag", selection, changes, lambda marks: ",".join(marks.tags), archived=archived
    )


def _delete(here: Locations, tags: Sequence[str], selection: Selection) -> int:
    from cli.edit.batch import needs_confirmation
    from cli.runtime.open_index import catch_up_and_report, with_index
    from state.edit.marks import delete_tags
    from state.query.marks import tag_counts_steps

    asks = needs_confirmation(selection)

    async def work(index: "ThreadIndex") -> tuple[dict[str, int], bool]:
        await catch_up_and_report(index)
        counts = await index.database.query(tag_counts_steps())
        held = {tag: counts.get(tag, 0) for tag in tags}
        question = f"Remove {_from_threads(held)}?"
        if selection.dry_run or (
            asks and any(held.values()) and not typer.confirm(question, err=True)
        ):
            return held, False
        await delete_tags(index, tags)  # from threads in the trash, too, which are not counted
        return held, True

    held, done = with_index(here, work)
    if selection.as_json:
        entries = [{"tag": tag, "threads": count} for tag, count in held.items()]
        output.data(
            {"version": 1, "action": "untag", "dryRun": selection.dry_run, "tags": entries},
            changed=done,
        )
    elif not any(held.values()):
        output.say(f"No thread has {one_line(', '.join(tags))}.")
    elif done or selection.dry_run:
        output.say(f"{'Removed' if done else 'Would remove'} {_from_threads(held)}.")
    else:
        output.say("Nothing was changed.")
    return errors.OK if any(held.values()) and (done or selection.dry_run) else errors.NO_MATCH


def _from_threads(held: Mapping[str, int]) -> str:
    """From how many threads each tag is removed."""
    return ", ".join(f"{one_line(tag)} from {plural(n, 'thread')}" for tag, n in held.items())
