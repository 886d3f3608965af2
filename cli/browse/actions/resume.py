"""Go on with a thread in Codex: the picker ends, and its command does the rest."""

import shutil
from collections.abc import Sequence
from functools import partial
from typing import Literal

from cli.browse.actions.acting import ActingApp
from cli.browse.actions.sentences import refusal
from cli.browse.picked import Picked
from cli.runtime.resuming import check_folder, codex_words, shell_command
from cli.terminal.text import one_line, plural
from state.errors import ThreadArchived, ThreadNotFound


async def resume(app: ActingApp, ids: Sequence[str]) -> None:
    """Leave, and resume the thread in Codex."""
    await _leave(app, ids, "resume")


async def fork(app: ActingApp, ids: Sequence[str]) -> None:
    """Leave, and fork the thread in Codex."""
    await _leave(app, ids, "fork")


async def copy(app: ActingApp, ids: Sequence[str]) -> None:
    """Copy the commands that resume the threads, by what terminals understand."""
    commands = []
    for id_ in ids:
        details = await app.index.details(id_)
        commands.append(shell_command(codex_words(id_), details["moved_to"] or details["cwd"]))
    app.copy_to_clipboard("\n".join(commands))
    what = commands[0] if len(commands) == 1 else plural(len(commands), "command")
    app.say(f"Copied: {one_line(what)}")


async def _leave(app: ActingApp, ids: Sequence[str], action: Literal["resume", "fork"]) -> None:
    if len(ids) > 1:
        app.say(f"Codex takes one thread, and {len(ids):,} are selected: Esc selects none.")
        return
    rows = await app.index.rows_of(ids)
    row = rows.get(ids[0])
    if row is None:
        raise ThreadNotFound(ids[0])
    if row["archived"]:
        app.say(refusal(rows, row["id"], ThreadArchived(row["id"])))
    elif shutil.which("codex") is None:
        app.say("There is no codex on PATH: Ctrl+Y copies the command that resumes the thread.")
    else:
        details = await app.index.details(row["id"])
        check = partial(check_folder, details["moved_to"] or row["cwd"])
        await app.index.database.workers.run(check)
        app.leave_with(Picked(row, action))
