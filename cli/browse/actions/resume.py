"""Go on with a thread in Codex: the picker ends, and its command does the rest."""

import shutil
from collections.abc import Sequence
from functools import partial
from typing import Literal

from cli.browse.actions.acting import ActingApp
from cli.browse.picked import Picked
from cli.runtime.resuming import check_folder, codex_words, shell_command
from cli.terminal.text import one_line, plural


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
    row = await app.one_active(ids, "Codex takes one thread")
    if row is None:
        return
    if shutil.which("codex") is None:
        app.say("There is no codex on PATH: Ctrl+Y copies the command that resumes the thread.")
    else:
        details = await app.index.details(row["id"])
        check = partial(check_folder, details["moved_to"] or row["cwd"])
        await app.index.database.workers.run(check)
        app.leave_with(Picked(row, action))
