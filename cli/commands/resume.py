"""``threadkeep resume``: go on with a thread in Codex, in the folder that it belongs to.

Where that is gone ``codex resume`` alone does it from any folder, and asks for one (measured on
0.169 and 0.171, where ``-C`` with a folder that is not there ends with an error)."""

import os
import shlex
import shutil

from cli import errors
from cli.arguments.locations import Locations
from cli.runtime.open_index import catch_up_and_report, read_index
from cli.terminal import output
from cli.terminal.text import one_line
from state.errors import NotResumable, ThreadArchived
from state.thread_index import ThreadIndex


def run(locations: Locations, reference: str, *, execute: bool, as_json: bool) -> int:
    """Print what goes on with a thread, or do it. Gives the exit status; what it does, it does
    in the place of this process."""

    async def work(index: ThreadIndex) -> tuple[str, str]:
        await catch_up_and_report(index)
        row = await index.thread(reference)
        if row["archived"]:
            raise ThreadArchived(row["id"])
        details = await index.details(row["id"])
        return row["id"], details["moved_to"] or row["cwd"]

    thread_id, folder = read_index(locations, work)
    command = ["codex", "resume", thread_id]
    if execute:
        _become(command, folder)
    words = shlex.join(command)
    there = _can_be_entered(folder)
    if there:
        words = f"cd {_quoted(folder)} && {words}"
    if as_json:
        told = {"id": thread_id, "cwd": folder or None, "command": command}
        output.data({"version": 1, **told, "shell": words, "cwdExists": there})
    else:
        output.line(words)
        if folder and not there:
            output.say(
                f"{one_line(folder)} cannot be entered: Codex asks which folder to go on in."
                " Where it has moved, threadkeep relink OLD NEW says where it is now."
            )
    return errors.OK


def _can_be_entered(folder: str) -> bool:
    """Whether a shell can go there; Windows paths are relative names elsewhere."""
    return os.path.isabs(folder) and os.path.isdir(folder) and os.access(folder, os.X_OK)


def _quoted(folder: str) -> str:
    """A folder as one word of a shell, on one line whatever its name."""
    if folder.isprintable():
        return shlex.quote(folder)
    letters = (
        letter
        if letter.isprintable() and letter not in "'\\"
        else "".join(f"\\x{byte:02x}" for byte in letter.encode())
        for letter in folder
    )
    return f"$'{''.join(letters)}'"


def _become(command: list[str], folder: str) -> None:
    program = shutil.which(command[0])
    if program is None:
        raise NotResumable(f"there is no {command[0]} on PATH")
    try:
        if folder:
            os.chdir(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise NotResumable(f"the thread's folder {folder} cannot be entered: {reason}") from error
    try:
        os.execv(program, command)
    except OSError as error:
        raise NotResumable(f"{program} cannot be run: {error.strerror}") from error
