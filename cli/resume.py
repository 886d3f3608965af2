"""``threadkeep resume``: go on with a thread in Codex, in the folder that it belongs to."""

import os
import shlex
import shutil
from pathlib import Path

from cli import errors, output
from cli.places import Places
from cli.run import catch_up, read_index
from state.errors import NotResumable, ThreadArchived
from state.index import ThreadIndex


def run(places: Places, reference: str, *, execute: bool, as_json: bool) -> int:
    """Print what goes on with a thread, or do it. Gives the exit status; what it does, it does
    in the place of this process."""

    async def work(index: ThreadIndex) -> tuple[str, str]:
        await catch_up(index)
        row = await index.thread(reference)
        if row["archived"]:
            raise ThreadArchived(row["id"])
        details = await index.details(row["id"])
        return row["id"], details["moved_to"] or row["cwd"]

    thread_id, folder = read_index(places, work)
    command = ["codex", "resume", thread_id]
    if execute:
        _become(command, folder)
    words = shlex.join(command)
    if folder:
        words = f"cd {_quoted(folder)} && {words}"
    if as_json:
        told = {"id": thread_id, "cwd": folder or None, "command": command}
        output.data({"version": 1, **told, "shell": words, "cwdExists": Path(folder).is_dir()})
    else:
        output.line(words)
        if folder and not Path(folder).is_dir():
            output.say(f"{output.one_line(folder)} is not there: threadkeep relink tells where.")
    return errors.OK


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
        os.chdir(folder or ".")
    except OSError as error:
        reason = error.strerror or str(error)
        raise NotResumable(f"the thread's folder {folder} cannot be entered: {reason}") from error
    try:
        os.execv(program, command)
    except OSError as error:
        raise NotResumable(f"{program} cannot be run: {error.strerror}") from error
