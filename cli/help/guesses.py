"""What people type first, coming from other programs, and what threadkeep calls it."""

import os
import re
from collections.abc import Collection, Sequence
from typing import Final

COMMANDS: Final = {
    **dict.fromkeys(("cat", "open", "print", "read", "view"), "show"),
    **dict.fromkeys(("find", "grep"), "search"),
    **dict.fromkeys(("history", "log"), "list"),
    **dict.fromkeys(("cost", "costs", "spend", "spending", "tokens", "usage"), "stats"),
    **dict.fromkeys(("clean", "cleanup", "prune", "remove", "rm"), "delete"),
    **dict.fromkeys(("recover", "undelete", "undo"), "trash restore"),
    **dict.fromkeys(("move", "mv"), "relink"),
    **dict.fromkeys(("label", "labels"), "tag"),
    **dict.fromkeys(("bookmark", "favorite", "star"), "pin"),
    "continue": "resume",
    "info": "show --meta",
}
"""Commands by the names that they have elsewhere."""

_OPTIONS: Final = {
    "--here": ("--cwd .",),
    **dict.fromkeys(("--dir", "--directory", "--folder"), ("--cwd",)),
    **dict.fromkeys(("--after", "--from"), ("--since",)),
    **dict.fromkeys(("--before", "--to"), ("--until",)),
    **{f"--{day}": (f"--since {day}",) for day in ("today", "yesterday")},
    **{f"--{span}": (f"--since this-{span}",) for span in ("week", "month")},
    **{f"--{span}": (f"--since {span}",) for span in ("this-week", "last-week", "this-month")},
    "--last": ("--limit", "--since"),
    "--tail": ("--last",),
    "--html": ("--format html",),
    "--markdown": ("--format md",),
    "--csv": ("--json",),
}
"""Options by the names that they may have elsewhere, with values."""
_TIME: Final = re.compile(
    r"today|yesterday|(mon|tues|wednes|thurs|fri|satur|sun)day|(this|last)[- ](week|month)"
    r"|\d+(mo|[mhdwy])|20\d\d(-\d\d){0,2}",
    re.ASCII | re.IGNORECASE,
)
"""Most of the words that ``--since`` takes."""
_TURNS: Final = re.compile(r"-?\d+(?:-\d*)?(?:,\d+)*", re.ASCII)


def option(name: str, own: Collection[str]) -> str:
    """The options among ``own`` that may be meant, as in ``did you mean …?``."""
    return " or ".join(each for each in _OPTIONS.get(name, ()) if each.split()[0] in own)


def instead(command: str, word: str, commands: Sequence[str]) -> str:
    """The command line that does what ``word`` after ``command`` may be meant to do; empty if none
    is known."""
    if command == "list":
        return _of_list(word)
    if command == "show" and _TURNS.fullmatch(word):
        return f"threadkeep show THREAD --turn {word}"
    return f"threadkeep {word}" if word in commands else ""


def _of_list(word: str) -> str:
    if word.startswith((".", "/", "~")) or os.path.isdir(word):
        return f"threadkeep list --cwd {word}"
    if _TIME.fullmatch(word):
        return f"threadkeep list --since {word.replace(' ', '-')}"
    if word.isdigit():
        return f"threadkeep list --limit {word}"
    return f"threadkeep search {word}"
