"""Rename a thread."""

from collections.abc import Sequence

from cli.browse.actions.acting import ActingApp
from cli.browse.actions.sentences import called, capital, of_codex
from cli.browse.dialogs import Entered, TextDialog
from cli.edit.undo import put_back_name
from cli.terminal.text import one_line
from state.edit.metadata import checked_name, set_name
from state.errors import InvalidName
from state.query.rows import Row
from state.query.thread_json import display_name


async def rename(app: ActingApp, ids: Sequence[str]) -> None:
    """Ask for the name of a thread, and set it."""
    row = await app.one_active(ids, "One thread can be renamed")
    if row is None:
        return
    before = one_line(display_name(row) or "")
    title = f"Rename {called({row['id']: row}, ids)}"
    entered = await app.push_screen_wait(TextDialog(title, before, problem=_problem))
    if entered is None or entered.text.strip() == before:
        return
    changed, name = await set_name(app.index, row["id"], entered.text, app.here.sqlite_home)
    _can_undo(app, row, name)
    app.say(f"It is now named “{one_line(name)}”. {app.how_undone}{of_codex([changed])}")
    await app.reload()


def _can_undo(app: ActingApp, row: Row, name: str) -> None:
    id_, before = row["id"], row["name"]

    async def undo() -> str:
        found = await put_back_name(app.index, id_, name, before, app.here.sqlite_home)
        if isinstance(found, str):
            return f"\nIt has another name by now, and keeps it: “{one_line(found)}”."
        return of_codex([found])

    app.can_undo(f"named “{one_line(name)}”", undo)


def _problem(entered: Entered) -> str:
    try:
        checked_name(entered.text)
    except InvalidName as error:
        return f"{capital(str(error))}."
    return ""
