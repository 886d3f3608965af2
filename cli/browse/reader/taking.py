"""What is taken out of a thread: text for the clipboard, a changed file for the editor."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Final

from textual.app import App, SuspendNotSupported

from cli.render.blocks.block import Block, Form, Role

_FILE: Final = re.compile(r"(?m)^(?:\*\*\* (?:Add|Update) File: |\+\+\+ (?:b/)?)(.+?)[ \r]*$")
_TITLE: Final = re.compile(r"(?:add|update) (?P<path>.+)")


def copied(block: Block) -> tuple[str, str]:
    """The text of a block for the clipboard, and what it is."""
    if block.command:
        return block.title, "the command"
    if block.role in (Role.USER, Role.AGENT):
        return block.text, "the message"
    if block.form is Form.DIFF:
        return block.text, "the patch"
    return block.text or block.title, "the text"


def changed_file(block: Block, at: int) -> str | None:
    """The file that a patch changes where the cursor is: ``at`` in the title, a line break and the
    text of its block."""
    if block.form is not Form.DIFF:
        return None
    here = at - len(block.title) - 1
    files = [(found.start(), found[1]) for found in _FILE.finditer(block.text)]
    above = [path for begin, path in files if begin <= here]
    if files:
        return above[-1] if above else files[0][1]
    found = _TITLE.fullmatch(block.title)
    return found["path"] if found else None


def edited(app: App[object], block: Block | None, at: int, folder: str) -> str:
    """Open the file that the patch under the cursor changes in the user's editor; gives what there
    is to say."""
    named = changed_file(block, at) if block else None
    if named is None:
        return "There is no patch under the cursor."
    path = Path(folder, named)
    if not path.is_file():
        return f"{path} is not there any more."
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        with app.suspend():
            status = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode
    except SuspendNotSupported:
        return "An editor cannot be opened in this terminal."
    except (OSError, ValueError) as error:
        return f"{editor} cannot be run: {error}. $EDITOR names another one."
    return f"{editor} ended with status {status}." if status else f"Edited {path}."
