"""The user's editor, for a text or a file."""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from cli.errors import WrongUsage

_USUAL = "vi"


def editor() -> list[str]:
    """The command of the user's editor: ``VISUAL``, else ``EDITOR``, else vi. Raises WrongUsage if
    it is no command."""
    given = os.environ.get("VISUAL") or os.environ.get("EDITOR") or _USUAL
    try:
        return shlex.split(given) or [_USUAL]
    except ValueError as error:
        raise WrongUsage(f"the editor {given!r} is no command: {error}", _HINT) from None


def edited(text: str) -> str:
    """``text`` as the user leaves it in the editor. Raises WrongUsage if there is no terminal, or
    if the editor fails."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise WrongUsage("there is no terminal for an editor", "give the text instead of --edit")
    command = editor()
    with tempfile.TemporaryDirectory(prefix="threadkeep-") as folder:
        file = Path(folder) / "note.md"
        file.write_text(text, "utf-8")
        try:
            subprocess.run([*command, file], check=True)
            return file.read_text("utf-8", "replace")
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "strerror", None) or f"exit status {error.returncode}"  # type: ignore[union-attr]
            what = f"the editor {shlex.join(command)} failed: {reason}"
            raise WrongUsage(what, f"nothing was changed; {_HINT}") from None


_HINT = "set EDITOR to the command of yours"
