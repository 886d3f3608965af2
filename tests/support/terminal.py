"""Runs the command on a terminal."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping

from tests.support.command import Cli
from tests.support.effort import PATIENCE_S


def on_terminal(
    cli: Cli,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    columns: int = 100,
    lines: int = 40,
    words: bool = False,
    typed: str = "",
    status: int = 0,
) -> str:
    """What the command writes to a terminal of that size until it ends with that status; with
    ``words``, stderr too. What is ``typed`` there waits for it to be read."""
    ours, theirs = pty.openpty()
    size = {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(lines)}
    process = cli.start(
        *arguments,
        env=size | dict(env or {}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs if words else subprocess.DEVNULL,
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    written = b""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        ready, _, _ = select.select([ours], [], [], 1)
        try:
            chunk = os.read(ours, 65536) if ready else b""
        except OSError:  # the other side is closed: the command has ended
            break
        if ready and not chunk:
            break
        written += chunk
    os.close(ours)
    assert process.wait(timeout=PATIENCE_S) == status, written
    text = written.decode()
    assert "Traceback" not in text
    return text
