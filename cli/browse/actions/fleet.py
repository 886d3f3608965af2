"""What actions do with threads of a fleet, which is only read."""

import shlex
from collections.abc import Sequence

from cli.arguments.locations import options_of
from cli.browse.actions.acting import ActingApp
from cli.render.labels import owner_of
from cli.terminal.text import one_line, plural


async def copy(app: ActingApp, ids: Sequence[str]) -> None:
    """Copy the commands that bring the threads here."""
    commands = [_command(app, id_) for id_ in ids]
    app.copy_to_clipboard("\n".join(commands))
    what = commands[0] if len(commands) == 1 else plural(len(commands), "command")
    app.say(f"Copied: {one_line(what)}")


async def resume(app: ActingApp, ids: Sequence[str]) -> None:
    """Say how a thread is gone on with here."""
    if len(ids) > 1:
        app.say(f"Codex takes one thread, and {len(ids):,} are selected: Esc selects none.")
    else:
        key = app.key_of("copy")
        how = f" {key} copies that." if key else ""
        app.say(f"To go on with it, bring it here first: {_command(app, ids[0])}.{how}")


async def change(app: ActingApp, ids: Sequence[str]) -> None:
    """Say where a thread can be changed."""
    rows = await app.index.rows_of(ids[:1])
    where = next((owner_of(row) for row in rows.values()), "") or "the machine that has it"
    app.say(f"A fleet is only read: a thread is changed on its machine, {where}.")


def _command(app: ActingApp, thread_id: str) -> str:
    options = options_of(app.here)
    return shlex.join(["threadkeep", *shlex.split(options), "pull", thread_id])


fork = resume
archive = rename = tag = pin = note = status = change
