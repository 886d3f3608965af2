"""``threadkeep resume``.

Where the thread's folder is gone, ``codex resume`` alone works from any folder and asks for one
(measured on 0.169 and 0.171, where ``-C`` with a missing folder ends with an error)."""

import os
import shlex
import shutil
from typing import TYPE_CHECKING, Annotated

import typer

from cli import errors
from cli.arguments.options import JsonOption, ThreadArgument, locations
from cli.terminal import output
from cli.terminal.text import one_line
from state.errors import NotResumable, ThreadArchived

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex


def command(
    context: typer.Context,
    thread: ThreadArgument,
    execute: Annotated[bool, typer.Option("--exec", help="Run it.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Print the command that continues a thread in Codex, in the thread's folder. --exec runs
    it."""
    from cli.runtime.open_index import catch_up_and_report, read_index

    if execute and as_json:
        raise typer.BadParameter("--exec and --json exclude each other")

    async def work(index: "ThreadIndex") -> tuple[str, str]:
        await catch_up_and_report(index)
        row = await index.thread(thread)
        if row["archived"]:
            raise ThreadArchived(row["id"])
        details = await index.details(row["id"])
        return row["id"], details["moved_to"] or row["cwd"]

    thread_id, folder = read_index(locations(context), work)
    words = ["codex", "resume", thread_id]
    if execute:
        _become(words, folder)
    exists = _can_be_entered(folder)
    shell = f"cd {_quoted(folder)} && {shlex.join(words)}" if exists else shlex.join(words)
    if as_json:
        fields = {"id": thread_id, "cwd": folder or None, "command": words}
        output.data({"version": 1, **fields, "shell": shell, "cwdExists": exists})
    else:
        output.line(shell)
        if folder and not exists:
            output.say(
                f"{one_line(folder)} cannot be entered, so Codex asks which folder to use."
                " If it has moved, record that with threadkeep relink OLD NEW."
            )
    return errors.OK


def _can_be_entered(folder: str) -> bool:
    """Whether a shell can enter it. Windows paths are relative names on other systems."""
    return os.path.isabs(folder) and os.path.isdir(folder) and os.access(folder, os.X_OK)


def _quoted(folder: str) -> str:
    """A folder as one word of a shell command, on one line whatever its name."""
    if folder.isprintable():
        return shlex.quote(folder)
    letters = (
        letter
        if letter.isprintable() and letter not in "'\\"
        else "".join(f"\\x{byte:02x}" for byte in letter.encode())
        for letter in folder
    )
    return f"$'{''.join(letters)}'"


def _become(words: list[str], folder: str) -> None:
    program = shutil.which(words[0])
    if program is None:
        raise NotResumable(f"there is no {words[0]} on PATH")
    try:
        if folder:
            os.chdir(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise NotResumable(f"the thread's folder {folder} cannot be entered: {reason}") from error
    try:
        os.execv(program, words)
    except OSError as error:
        raise NotResumable(f"{program} cannot be run: {error.strerror}") from error
