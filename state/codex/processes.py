"""Which other processes have a file open, on systems that tell (Linux)."""

import os
from pathlib import Path
from typing import Final

_PROCESSES: Final = Path("/proc")
_LONGEST_COMMAND: Final = 80


def processes_using(path: Path) -> list[str] | None:
    """The other processes of this user that have ``path`` open, each as
    ``pid 4711 (codex app-server)``; None where the system does not tell."""
    if not (_PROCESSES / "self" / "fd").is_dir():
        return None
    target = os.path.realpath(path)
    found = []
    for entry in os.listdir(_PROCESSES):
        if entry.isdigit() and int(entry) != os.getpid() and target in _open_files(entry):
            found.append(f"pid {entry} ({_command(entry)})")
    return found


def _open_files(process: str) -> set[str]:
    folder = f"{_PROCESSES}/{process}/fd"
    try:
        return {os.readlink(f"{folder}/{number}") for number in os.listdir(folder)}
    except OSError:
        return set()  # it is another user's, or has ended


def _command(process: str) -> str:
    try:
        words = (_PROCESSES / process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return "ended"
    words[0] = os.path.basename(words[0])
    return b" ".join(words).decode(errors="replace").strip()[:_LONGEST_COMMAND]
