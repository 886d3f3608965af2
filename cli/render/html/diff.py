"""Patches as HTML: line by line, and with both sides beside each other where there is room."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Final, NamedTuple

_MARKS: Final = {"+": "add", "-": "del", "@": "at", "*": "at"}
_FILE: Final = re.compile(r"\*\*\* (Add|Update|Delete) File: (.+?)[ \r]*")
_ENDS: Final = ("*** Begin Patch", "*** End Patch")
_TITLE: Final = re.compile(r"(add|update|delete) (.+)", re.DOTALL)
_BEFORE_HUNKS: Final = re.compile(r"(?:---|\+\+\+|diff --git|index|new file|deleted file) ")


class _File(NamedTuple):
    """What a patch does to a file."""

    kind: str
    path: str
    lines: list[str]

    def count(self, mark: str) -> int:
        return sum(line.startswith(mark) for line in self.lines)


def diff_html(text: str) -> str:
    """The lines of a patch, below each other."""
    return "".join(
        f'<span class="{_MARKS.get(line[:1], "same")}">{escape(line)}\n</span>'
        for line in text.split("\n")
    )


def patch_html(title: str, text: str, unfolded: str, state: str) -> Iterator[str]:
    """The files of a patch, each in a ``details``, which has ``unfolded`` as an attribute; the
    first one with its ``state``, as HTML. What has both added and removed lines is in ``pair``
    elements that can be shown side by side."""
    for file in _files(title, text):
        added, removed = file.count("+"), file.count("-")
        counts = f' <span class="plus">+{added:,}</span>' if added else ""
        counts += f' <span class="minus">\N{MINUS SIGN}{removed:,}</span>' if removed else ""
        name = f"{escape(file.kind)} <b>{escape(file.path)}</b>" if file.path else "patch"
        yield f'<details data-kind="patch"{unfolded}>\n<summary>{name}{counts}{state}</summary>\n'
        state = ""
        if file.lines:
            sides = " sides" if added and removed else ""
            yield f'<div class="diff{sides}">'
            yield from _groups(file.lines, twice=bool(sides))
            yield "</div>\n"
        yield "</details>\n"


def _files(title: str, text: str) -> Sequence[_File]:
    named = _TITLE.fullmatch(title)
    first = _File(named[1], named[2], []) if named else _File("", "", [])
    found = [first]
    lines = text.split("\n")
    before_hunks = True
    for line in lines:
        before_hunks = before_hunks and not line.startswith("@@")
        if file := _FILE.fullmatch(line):
            found.append(_File(file[1].lower(), file[2], []))
        elif line in _ENDS or (named and before_hunks and _BEFORE_HUNKS.match(line)):
            continue
        else:
            found[-1].lines.append(line)
    if len(found) > 1 and not any(map(str.strip, first.lines)):
        del found[0]
    return found


def _groups(lines: Sequence[str], *, twice: bool) -> Iterator[str]:
    """Lines in groups of one kind; those that did not change ``twice``, for both sides."""
    for kind, group in groupby(lines, _group):
        if kind == "at":
            yield "".join(f'<div class="at">{escape(line)}\n</div>' for line in group)
        elif kind == "same":
            same = escape("\n".join(group))
            again = f'<div aria-hidden="true">{same}\n</div>' if twice else ""
            yield f'<div class="same"><div>{same}\n</div>{again}</div>'
        else:
            yield '<div class="pair">'
            yield from _pair([*group])
            yield "</div>"


def _pair(lines: Sequence[str]) -> Iterator[str]:
    # Removed lines first: so they are above the added ones where there is one column.
    for mark, kind in (("-", "del"), ("+", "add")):
        for line in lines:
            if line.startswith(mark):
                yield f'<div class="{kind}">{escape(line)}\n</div>'


def _group(line: str) -> str:
    kind = _MARKS.get(line[:1], "same")
    return "pair" if kind in ("add", "del") else kind
