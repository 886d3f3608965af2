"""Patches: the files that they change, and by how many lines."""

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

from rollout.jsonl.parse import compact_json
from rollout.schema.strict import Fields

ChangeKind = Literal["added", "changed", "deleted", "moved"]

_PATCH: Final = re.compile(r"\*\*\* Begin Patch.*?(?:\*\*\* End Patch|\Z)", re.DOTALL)
_FILE: Final = re.compile(r"\*\*\* (Add|Update|Delete) File: (.+?)[ \r]*")
_MOVED: Final = re.compile(r"\*\*\* Move to: (.+?)[ \r]*")
_DIFF_MARKS: Final = {"add": "+", "delete": "-"}
_KINDS: Final[dict[str, ChangeKind]] = {"Add": "added", "Update": "changed", "Delete": "deleted"}


class ChangedFile(NamedTuple):
    """A file that a patch has changed."""

    path: str
    """As the patch has it: absolute, or relative to the folder of the thread. Of a moved file the
    new one."""
    kind: ChangeKind
    added: int = 0
    """Lines."""
    removed: int = 0
    """Lines; of a deleted file 0 if the patch does not hold them."""
    moved_from: str | None = None
    """The path that it had before, if it was moved."""


def patch_text(arguments: object) -> str | None:
    """The patch in the arguments of a call, which may be a command's, or an event's changes."""
    match arguments:
        case str(text):
            return text
        case {"input": str(text)} | {"patch": str(text)} | {"changes": str(text)}:
            return text
        case {"changes": dict(changes)} if changes:
            return "\n".join(_change_text(path, change) for path, change in changes.items())
    given = arguments.get("command", arguments.get("cmd")) if isinstance(arguments, dict) else None
    for word in given if isinstance(given, list) else [given]:
        if isinstance(word, str) and (found := patch_in(word)):
            return found
    return None


def patch_in(line: str) -> str | None:
    """The patch in the line of a command."""
    found = _PATCH.search(line) if "*** Begin Patch" in line else None
    return found[0] if found else None


def _change_text(path: str, change: object) -> str:
    match change:
        case {"unified_diff": str(diff), **more} | {"update": {"unified_diff": str(diff), **more}}:
            moved = more.get("move_path")
            to = f"*** Move to: {moved}\n" if isinstance(moved, str) else ""
            return f"*** Update File: {path}\n{to}{diff}"
        case {"type": "add", "content": str(text)} | {"add": {"content": str(text)}}:
            added = "\n".join(f"+{line}" for line in text.splitlines())
            return f"*** Add File: {path}\n{added}"
        case {"type": "delete"} | {"delete": _}:
            return f"*** Delete File: {path}"
    return f"{path}: {compact_json(change)}"


def diff_of(change: Fields) -> str:
    """One of the ``changes`` of an item as a unified diff without its header."""
    kind, diff = change["kind"]["type"], str(change["diff"])
    mark = _DIFF_MARKS.get(kind)
    return "\n".join(mark + line for line in diff.removesuffix("\n").split("\n")) if mark else diff


def diffs_of_patch(text: str) -> dict[str, str]:
    """What a patch does to each file, by all paths that it has."""
    found: dict[str, str] = {}
    paths: list[str] = []
    body: list[str] = []
    for line in [*text.split("\n"), "*** End Patch"]:
        if file := _FILE.fullmatch(line):
            found |= dict.fromkeys(paths, "\n".join(body))
            paths, body = [file[2]], []
        elif moved := _MOVED.fullmatch(line):
            paths.append(moved[1])
        elif line.rstrip() == "*** End Patch":
            found |= dict.fromkeys(paths, "\n".join(body))
            paths, body = [], []
        else:
            body.append(line)
    return found


def files_of_patch(text: str) -> Iterator[ChangedFile]:
    """The files that a patch changes, in its order."""
    file: ChangedFile | None = None
    added = removed = 0
    for line in text.split("\n"):
        if line.startswith("*** "):
            if found := _FILE.fullmatch(line):
                if file:
                    yield file._replace(added=added, removed=removed)
                file, added, removed = ChangedFile(found[2], _KINDS[found[1]]), 0, 0
            elif file and (moved := _MOVED.fullmatch(line)):
                file = ChangedFile(moved[1], "moved", moved_from=file.path)
        elif line.startswith("+"):
            added += 1
        elif line.startswith("-"):
            removed += 1
    if file:
        yield file._replace(added=added, removed=removed)


def files_of_changes(changes: Iterable[Fields]) -> Iterator[ChangedFile]:
    """The files that the ``changes`` of an item tell."""
    for change in changes:
        path, kind, diff = change["path"], change["kind"], change["diff"]
        if kind["type"] == "add":
            yield ChangedFile(path, "added", added=_lines(diff))
        elif kind["type"] == "delete":
            yield ChangedFile(path, "deleted", removed=_lines(diff))
        else:
            added, removed = _changed_lines(diff)
            moved = kind["move_path"]
            if moved is None or moved == path:
                yield ChangedFile(path, "changed", added, removed)
            else:
                yield ChangedFile(moved, "moved", added, removed, path)


def _lines(text: str) -> int:
    return text.count("\n") + bool(text and not text.endswith("\n"))


def _changed_lines(diff: str) -> tuple[int, int]:
    """How many lines a unified diff adds, and how many it removes."""
    lines = diff.split("\n")
    if lines[0].startswith("--- ") and lines[1:] and lines[1].startswith("+++ "):
        del lines[:2]
    return (
        sum(1 for line in lines if line.startswith("+")),
        sum(1 for line in lines if line.startswith("-")),
    )


def merged(files: Iterable[ChangedFile]) -> tuple[ChangedFile, ...]:
    """What several patches did to each file, in the order in which it was first touched."""
    found: dict[str, ChangedFile] = {}
    for file in files:
        before = found.pop(file.moved_from, None) if file.moved_from else None
        before = _together(before, file) if before else file
        there = found.get(before.path)
        found[before.path] = _together(there, before) if there else before
    return tuple(found.values())


def _together(first: ChangedFile, then: ChangedFile) -> ChangedFile:
    kind, origin = then.kind, then.moved_from
    if kind in ("changed", "moved") and first.kind in ("added", "moved"):
        kind, origin = first.kind, first.moved_from
    elif kind == "added" and first.kind == "deleted":
        kind = "changed"
    added, removed = first.added + then.added, first.removed + then.removed
    return ChangedFile(then.path, kind, added, removed, origin)
