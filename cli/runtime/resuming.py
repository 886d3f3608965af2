"""The command that continues a thread in Codex, in the thread's folder.

Where that folder is gone, ``codex resume`` alone works from any folder and asks for one (measured
on 0.169 and 0.171, where ``-C`` with a missing folder ends with an error).
"""

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from cli import errors
from state.errors import NotResumable


def codex_words(thread_id: str, *, fork: bool = False) -> list[str]:
    """The words of the command that continues a thread, or a ``fork`` of it."""
    return ["codex", "fork" if fork else "resume", thread_id]


def shell_command(words: Sequence[str], folder: str) -> str:
    """The command for a shell, on one line; it enters ``folder`` first, if that is there."""
    command = shlex.join(words)
    return f"cd {_quoted(folder)} && {command}" if can_be_entered(folder) else command


def can_be_entered(folder: str) -> bool:
    """Whether a shell can enter it. Windows paths are relative names on other systems."""
    return os.path.isabs(folder) and os.path.isdir(folder) and os.access(folder, os.X_OK)


def check_folder(folder: str) -> None:
    """Raises NotResumable if :func:`become` cannot enter the folder."""
    with _entering(folder):
        if folder:
            os.stat(os.path.join(folder, "."))


@contextmanager
def _entering(folder: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise NotResumable(f"the thread's folder {folder} cannot be entered: {reason}") from error


def become(words: Sequence[str], folder: str) -> NoReturn:
    """Run the command in ``folder`` in place of this process.

    Raises:
        CodexNotRunnable: there is no such program, or it cannot be run.
        NotResumable: the folder cannot be entered.
    """
    program = shutil.which(words[0])
    if program is None:
        raise errors.CodexNotRunnable(f"there is no {words[0]} on PATH")
    with _entering(folder):
        if folder:
            os.chdir(folder)
    try:
        os.execv(program, [*words])
    except OSError as error:
        raise errors.CodexNotRunnable(f"{program} cannot be run: {error.strerror}") from error


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
