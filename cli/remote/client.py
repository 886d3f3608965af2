"""Lets a running server of the home carry out a command, where one answers.

Loading the program takes several times as long as a list does. So this module imports only what
is needed to ask a server.
"""

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

SERVED = ("list", "query", "search", "show")
"""Commands that a server carries out: those that read, and end soon."""
PATIENCE_S = 3.0
"""After so many seconds the server gives up, and the command runs here."""
_LONGEST_ANSWER = 2**25
"""In bytes; a server keeps less of a command's output."""
_USUAL_SIZE = (80, 24)
"""Columns and lines of a terminal that does not know its own."""
_ENVIRONMENT = (
    "COLORTERM",
    "FORCE_COLOR",
    "LANG",
    "LC_ALL",
    "NO_COLOR",
    "TERM",
    "TTY_COMPATIBLE",
    "TZ",
)


def identity() -> list[int]:
    """Tells this program from an older one whose server still runs."""
    info = os.stat(__file__)
    return [info.st_dev, info.st_ino, info.st_mtime_ns]


def delegate(words: list[str]) -> int | None:
    """The exit status of a command that a server has carried out; None if it has to run here."""
    if sys.stdout is None or sys.stderr is None:  # closed by the parent process
        return None
    given: dict[str, str] = {}
    while words and words[0].startswith("--"):
        name, joined, value = words[0].partition("=")
        words = words[1:]
        if not joined and words:
            value, *words = words
        if name not in ("--home", "--db") or not value:
            return None
        given[name] = value
    if not is_served(words) or _depends_on_more(words):
        return None
    if words[0] == "show" and "--meta" not in words:
        return None  # a thread may be long, and is for a pager
    from cli.arguments.locations import locations_of

    home = given.get("--home") or os.environ.get("CODEX_HOME")
    database = given.get("--db") or os.environ.get("THREADKEEP_DB")
    try:
        path = socket_path(locations_of(home or None, database or None).index)
    except Exception:  # noqa: BLE001 - the command itself reports it
        return None
    answer = _ask(path, words) if os.path.exists(path) else None
    return None if answer is None else _print(answer)


def is_served(words: list[str]) -> bool:
    """Whether a server carries out a command. It does not read all rollouts, nor fleets."""
    reads_more = any(word.startswith(("--raw", "--file", "--fleet")) for word in words)
    return bool(words) and words[0] in SERVED and not reads_more


def socket_path(index: "os.PathLike[str]") -> str:
    """Where the server of an index listens by default."""
    return f"{os.fspath(index)}.sock"


def _depends_on_more(words: list[str]) -> bool:
    """Whether a command depends on more than its words: on the current folder or stdin; or asks
    for all threads or for help."""
    for before, word in zip(words, words[1:], strict=False):  # noqa: RUF007 - no import for it
        if word[:1] == "-" and word[:2] not in ("--", "-n"):  # -h, -a, or several in one word
            return True
        value = word.partition("=")[2] if word.startswith("--") else word
        path = (
            before in ("--cwd", "--exact-cwd") or "/" in value or value.endswith((".jsonl", ".zst"))
        )
        if value in ("-", ".", "..", "--all", "--help") or word in ("--all", "--help"):
            return True
        if path and not os.path.isabs(value):
            return True
    return False


def _size() -> "list[int]":
    """The columns and lines of the terminal, as :func:`shutil.get_terminal_size` finds them."""
    try:
        real = tuple(os.get_terminal_size(sys.stdout.fileno()))
    except OSError:
        real = 0, 0
    named = [os.environ.get(name, "") for name in ("COLUMNS", "LINES")]
    choices = zip(named, real, _USUAL_SIZE, strict=True)
    return [
        int(text) if text.isdecimal() and int(text) else one or usual
        for text, one, usual in choices
    ]


def _ask(path: str, words: list[str]) -> "dict[str, Any] | None":
    """What a server answers; None if none does, or if it does not carry the command out."""
    import json
    import socket

    terminal = sys.stdout.isatty()
    columns, lines = _size() if terminal else _USUAL_SIZE
    command = {
        "program": identity(),
        "args": words,
        "terminal": terminal,
        "columns": columns,
        "lines": lines,
        "environment": {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    }
    client = {"clientInfo": {"name": "threadkeep-cli", "version": "1"}}
    requests = [
        {"id": 1, "method": "initialize", "params": client},
        {"id": 2, "method": "threadkeep/command", "params": command},
    ]
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.settimeout(PATIENCE_S)
            server.connect(path)
            server.sendall("".join(f"{json.dumps(one)}\n" for one in requests).encode())
            answer = _answer(server, json.loads)
    except (OSError, ValueError):
        return None
    if not isinstance(answer, dict) or answer.keys() != _ANSWER.keys():
        return None
    right = all(isinstance(answer[key], kind) for key, kind in _ANSWER.items())
    return answer if right else None


_ANSWER = {"status": int, "out": str, "messages": list}


def _answer(server: "socket.socket", loads: "Callable[[bytearray], Any]") -> "Any":
    """The server's answer to the command, whatever else it sends; None if it takes too long."""
    until = time.monotonic() + PATIENCE_S
    content = bytearray()
    while time.monotonic() < until and len(content) < _LONGEST_ANSWER:
        piece = server.recv(2**16)
        if not piece:
            return None
        content += piece
        while b"\n" in piece:
            line, _, content = content.partition(b"\n")
            answer = loads(line)
            if isinstance(answer, dict) and answer.get("id") == 2:
                return answer.get("result")
            piece = bytes(content)
    return None


def _print(answer: "dict[str, Any]") -> int:
    from cli.terminal import output

    if answer["out"]:
        output.write(answer["out"].encode())
    for text in answer["messages"]:
        output.say(text)
    return int(answer["status"])
