"""``threadkeep note``."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli import errors
from cli.arguments.filters import Selection
from cli.arguments.locations import Locations
from cli.arguments.options import DryRunOption, JsonOption, ThreadArgument, locations
from cli.terminal import output
from cli.terminal.text import one_line, printable

if TYPE_CHECKING:
    from state.query.marks import Marks
    from state.thread_index import ThreadIndex


def command(
    context: typer.Context,
    thread: ThreadArgument,
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT", help="The new note; an empty one removes it.", show_default=False
        ),
    ] = None,
    edit: Annotated[bool, typer.Option("--edit", help="Write the note in your editor.")] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> int:
    """Show the note on a thread, or write one."""
    here = locations(context)
    if edit and text is not None:
        raise typer.BadParameter("TEXT and --edit cannot be combined")
    if text is None:
        if dry_run and not edit:
            raise typer.BadParameter("--dry-run needs a note to write")
        thread, note = _note_of(here, thread)
        if not edit:
            return _show(thread, note, as_json=as_json)
        from cli.terminal.editor import edited

        text = edited(note)
        if text.strip() == note:
            output.say("The note is unchanged.")
            return errors.OK
    from cli.edit.marks import mark
    from state.userdata.marks import NOTE

    selection = Selection(threads=[thread], dry_run=dry_run, as_json=as_json)
    return mark(here, "note", selection, {NOTE: text}, lambda marks: one_line(marks.note))


def _note_of(here: Locations, reference: str) -> tuple[str, str]:
    """The id of a thread, and its note; empty if it has none."""
    from cli.runtime.open_index import find_thread, read_index
    from state.query.marks import NO_MARKS, marks_steps

    async def work(index: "ThreadIndex") -> "tuple[str, Marks]":
        id_ = (await find_thread(index, reference))["id"]
        found = await index.database.query(marks_steps([id_]))
        return id_, found.get(id_, NO_MARKS)

    id_, marks = read_index(here, work)
    return id_, marks.note


def _show(thread_id: str, note: str, *, as_json: bool) -> int:
    if as_json:
        output.data({"version": 1, "id": thread_id, "note": note or None})
    elif note:
        output.lines(printable(note).split("\n"))
    else:
        output.say(f"{thread_id} has no note. threadkeep note THREAD TEXT writes one.")
    return errors.OK if note else errors.NO_MATCH
