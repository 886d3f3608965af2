"""A command as responses show it: one line of shell, its folder and its actions
(docs/rollout-format.md#items; measured on Codex 0.169)."""

import ntpath
import posixpath
import re
from functools import lru_cache
from typing import Any, Final

from rollout.schema.strict import Fields, Unfit, array, camel_case, obj, optional, text

_PLAIN: Final = re.compile(r"[A-Za-z0-9+\-./:@\]_]+")
_SINGLE: Final = re.compile(r"[^'\\^]*")
_NUL_INSIDE: Final = "<command included NUL byte>"


def shell_line(words: list[str]) -> str:
    """The words of a command as one line that a shell splits into them again."""
    if any("\0" in word for word in words):
        return _NUL_INSIDE
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    if _SINGLE.fullmatch(word):
        return f"'{word}'"
    pieces = []
    while word:
        piece, word = _piece(word)
        pieces.append(piece)
    return "".join(pieces)


_NO_SINGLE: Final = frozenset("'\\^")
_NO_DOUBLE: Final = frozenset("`$!^")


def _piece(word: str) -> tuple[str, str]:
    """As much of ``word`` as one way of quoting can hold, quoted, and the rest."""
    # A caret is safe only as the first character inside single quotes.
    plain = double = word[0] != "^"
    single, end = True, 0 if plain else 1
    while end < len(word):
        char = word[end]
        now = (
            plain and _PLAIN.fullmatch(char) is not None,
            single and char not in _NO_SINGLE,
            double and char not in _NO_DOUBLE,
        )
        if not any(now):
            break
        plain, single, double = now
        end += 1
    front, rest = word[:end], word[end:]
    if plain:
        return front, rest
    if single:
        return f"'{front}'", rest
    escaped = re.sub(r'[$`"\\]', r"\\\g<0>", front)
    return f'"{escaped}"', rest


_FILE_URI: Final = re.compile(r"file:(?://([^/?#]*))?([^?#]*)", re.IGNORECASE)
_DRIVE: Final = re.compile(r"/[A-Za-z]:(?=/|$)")


def uri_path(value: object) -> str:
    """The path that a ``file://`` URI stands for; Windows' paths in Windows' spelling."""
    return _uri_path(text(value))


@lru_cache(maxsize=256)  # a thread names few folders, and each with every command
def _uri_path(uri: str) -> str:
    found = _FILE_URI.fullmatch(uri)
    if found is None:
        raise Unfit
    from urllib.parse import unquote  # few threads have URIs

    host, path = found[1] or "", unquote(found[2], errors="replace")
    path = path if path.startswith("/") else f"/{path}"
    path = _without_dots(path)
    if host and host.lower() != "localhost":
        return f"//{host}{path}".replace("/", "\\")
    return path[1:].replace("/", "\\") if _DRIVE.match(path) else path


def _without_dots(path: str) -> str:
    kept: list[str] = []
    parts = path.split("/")[1:]
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "..":
            del kept[-1:]
        if part not in (".", ".."):
            kept.append(part)
        elif last:
            kept.append("")
    return "/" + "/".join(kept)


def _action(action: Fields, cwd: str) -> Fields:
    kind = action.get("type")
    shown: Fields = {"command": text(action.get("cmd"))}
    if kind == "read":
        name = text(action.get("name"))
        return {"type": "read", **shown, "name": name, "path": _beneath(cwd, action.get("path"))}
    if kind == "search":
        shown["query"] = optional(action.get("query"), text)
    if kind in ("search", "list_files"):
        path = optional(action.get("path"), text)
        return {"type": camel_case(kind), **shown, "path": path}
    if kind == "unknown":
        return {"type": "unknown", **shown}
    raise Unfit


def command_actions(value: object, cwd: str) -> list[Any]:
    """All of ``parsed_cmd``, each as a CommandAction."""
    return [_action(obj(each), cwd) for each in array(value)]


def _beneath(cwd: str, value: object) -> str:
    path = text(value)
    if not path:
        return cwd
    if not cwd.startswith("/"):
        found = ntpath.normpath(ntpath.join(cwd, path))
        return found.rstrip("\\") if found.startswith("\\") else found
    if path.startswith("/"):
        return _without_dots(re.sub("//+", "/", path))
    return posixpath.normpath(posixpath.join(cwd, path))
