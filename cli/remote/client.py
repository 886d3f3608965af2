"""Asks a server that listens at the home's index to run a command, if one does.

Loading the program takes several times as long as a list does. So what is needed to ask a server
is all that is loaded here, before it is known that nobody answers.
"""

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    Loads = Callable[[bytes], Any]

SERVED = ("list", "query", "search", "show")
"""Commands that a server runs for others: those that read, and soon end."""
PATIENCE_S = 3.0
"""After so many seconds the server gives a command up, and it is run here."""
_LONGEST_ANSWER = 2**25
"""In bytes; a server keeps less of a command's output."""
_USUAL_COLUMNS = 80
_ENVIRONMENT = ("COLORTERM", "FORCE_COLOR", "LANG", "LC_ALL", "NO_COLOR", "TERM", "TTY_COMPATIBLE")


def identity() -> list[int]:
    """Tells this program from an older one whose server still runs."""
    info = os.stat(__file__)
    return [info.st_dev, info.st_ino, info.st_mtime_ns]


def asked(words: list[str]) -> int | None:
    """The exit status of a command that a server has run; None where it is to be run here."""
    if sys.stdout is None or sys.stderr is None:  # closed by whoever started us
        return None
    given: dict[str, str] = {}
    while words and words[0].startswith("--"):
        name, _, value = words[0].partition("=")
        if name not in ("--home", "--db") or (not value and len(words) < 2):
            return None
        given[name] = value or words[1]
        words = words[1:] if value else words[2:]
    if not is_served(words) or _looks_around(words):
        return None
    if words[0] == "show" and "--meta" not in words:
        return None  # a thread may be long, and is for a pager
    from pathlib import Path

    from cli.arguments.locations import locations_of

    home = given.get("--home") or os.environ.get("CODEX_HOME")
    database = given.get("--db") or os.environ.get("THREADKEEP_DB")
    try:
        places = locations_of(Path(home) if home else None, Path(database) if database else None)
    except Exception:  # noqa: BLE001 - which is told by the command itself
        return None
    socket = socket_path(places.index)
    if not os.path.exists(socket):
        return None
    return _told(socket, words)


def is_served(words: list[str]) -> bool:
    """Whether a command is one of those that a server runs for others."""
    return bool(words) and words[0] in SERVED and "--raw" not in words  # which reads all rollouts


def socket_path(index: "os.PathLike[str]") -> str:
    """Where the server of an index listens, unless it is told to do so elsewhere."""
    return f"{os.fspath(index)}.sock"


def _looks_around(words: list[str]) -> bool:
    """Whether a command depends on more than its words: the folder it is called in, or stdin."""
    for before, word in zip(words, words[1:], strict=False):  # noqa: RUF007 - no import for it
        value = word.partition("=")[2] if word.startswith("--") else word
        path = before == "--cwd" or "/" in value or value.endswith((".jsonl", ".zst"))
        if value in ("-", ".", "..", "--all", "--help") or word in ("--all", "--help"):
            return True
        if path and not os.path.isabs(value):
            return True
    return False


def _columns() -> int:
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _USUAL_COLUMNS
    except OSError:
        return _USUAL_COLUMNS


def _told(path: str, words: list[str]) -> int | None:
    import json
    import socket

    terminal = sys.stdout is not None and sys.stdout.isatty()
    asked = {
        "program": identity(),
        "args": words,
        "terminal": terminal,
        "columns": _columns() if terminal else _USUAL_COLUMNS,
        "environment": {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    }
    requests = b"".join(
        json.dumps({"id": number, "method": method, "params": params}).encode() + b"\n"
        for number, method, params in (
            (1, "initialize", {"clientInfo": _CLIENT}),
            (2, "threadkeep/command", asked),
        )
    )
    try:
        with socket.socket(socket.AF_UNIX) as server:
            return _answered(server, path, requests, json.loads)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None  # whatever it is that listens there, it can be done here


def _answered(server: "socket.socket", path: str, requests: bytes, loads: "Loads") -> int | None:
    until = time.monotonic() + PATIENCE_S
    server.settimeout(PATIENCE_S)
    server.connect(path)
    server.sendall(requests)
    pieces = bytearray()
    while time.monotonic() < until and len(pieces) < _LONGEST_ANSWER:
        piece = server.recv(2**16)
        if not piece:
            return None
        pieces += piece
        while b"\n" in piece:
            line, _, rest = bytes(pieces).partition(b"\n")
            answer = loads(line)
            if answer.get("id") == 2:
                return _printed(answer.get("result"))
            pieces = bytearray(rest)
            piece = rest
    return None


_CLIENT = {"name": "threadkeep-cli", "version": "1"}


def _printed(result: "dict[str, Any] | None") -> int | None:
    if result is None:
        return None
    from cli.terminal import output

    out, said, status = result["out"].encode(), [*map(str, result["said"])], int(result["status"])
    if out:
        output.write(out)
    for text in said:
        output.say(text)
    return status
