"""One thread as lines of the list: pieces of text, each with words for its style.

It imports neither Textual nor rich: the first frame is drawn before they are loaded.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from cli.browse.threads.entries import Entry
from cli.render.labels import folder, label, owner_of
from cli.render.threads import title
from cli.terminal.cells import around, cells, cut, cut_folder, settled
from cli.terminal.text import age, amount
from state.query.rows import Row

Piece = tuple[str, str]
"""A text, and the words of its style: ``bold green``."""
Pieces = list[Piece]
Snippet = Sequence[tuple[str, bool]]
"""What was said, on one line, in pieces, each with whether it is one of the terms."""

PLAIN_MATCH: Final = "bold underline"
MATCH: Final = "black on bright_yellow"
CURSOR: Final = "bright_white on blue"
"""The line under the cursor: readable on light and dark, in colours that every terminal has."""
PLACEHOLDER: Final = "▒▒▒▒▒▒▒▒▒▒▒▒"
PROMPT: Final = "Search, or filter: project:  tag:  since:7d  is:archived  -word"
"""What stands in the empty search box."""
_HOUR_MS: Final = 3_600_000
_FRESH: Final = (
    (_HOUR_MS, "bold green"),
    (24 * _HOUR_MS, "green"),
    (7 * 24 * _HOUR_MS, "cyan"),
    (60 * 24 * _HOUR_MS, ""),
)
"""Up to which age a thread has which colour; older ones are dim."""
_STATUS: Final = {"todo": "yellow", "doing": "green", "waiting": "magenta", "done": "dim"}
_BEFORE_TITLE: Final = 8
"""The cells of the cursor, the mark of a selected thread, the age, and blanks."""
_TOKENS: Final = 5
_GAP: Final = 2
_LEAST_FOR_FOLDER: Final = 48
_LEAST_FOR_TOKENS: Final = 56
_LEAST_TITLE: Final = 12
_HEADING: Final = 48
"""The room in the heading of the preview, about."""


class Look(NamedTuple):
    """How the lines of all threads look."""

    width: int
    detailed: bool = False
    """Whether there is a second line for each."""
    now_ms: int = 0
    user_home: str = ""
    words: tuple[str, ...] = ()
    """What is searched for in titles."""


def thread_lines(
    entry: Entry, look: Look, *, selected: bool, snippet: Snippet | None
) -> list[Pieces]:
    """The lines of one thread, each exactly ``look.width`` cells wide; the first cell is left for
    the mark of the cursor."""
    first = _first_line(entry, look, selected, None if look.detailed else snippet)
    return [first, _second_line(entry, look, snippet)] if look.detailed else [first]


def placeholder_lines(look: Look) -> list[Pieces]:
    """The lines of a thread that is not read yet."""
    first = [(" " * _BEFORE_TITLE, ""), (PLACEHOLDER, "dim")]
    lines = [first, [(" ", "")]] if look.detailed else [first]
    return [_filled(line, look.width) for line in lines]


def without_colours(pieces: Pieces) -> Pieces:
    """A line for a terminal without colours: matches are underlined."""
    return [(text, words.replace(MATCH, PLAIN_MATCH)) for text, words in pieces]


def on_cursor(pieces: Pieces, *, plain: bool, first: bool = True) -> Pieces:
    """A line as it is under the cursor; ``plain`` without colours."""
    under = "reverse" if plain else CURSOR
    found = [(text, _weight(words, under)) for text, words in pieces]
    if first and pieces and pieces[0][0] == " ":
        found[0] = ("▌", f"bold {under}")
    return found


def _weight(words: str, under: str) -> str:
    """The style of a piece in the line under the cursor."""
    if " on " in words or PLAIN_MATCH in words:
        return words
    return " ".join([*(word for word in words.split() if word in ("bold", "italic")), under])


def _first_line(entry: Entry, look: Look, selected: bool, snippet: Snippet | None) -> Pieces:
    row, marks, width = entry.row, entry.marks, look.width
    aged = age(row["recency_at_ms"], look.now_ms)
    line: Pieces = [
        (" ", ""),
        ("✓", "bold magenta") if selected else (" ", ""),
        (f"{aged:>4}  ", _freshness(row, look.now_ms)),
    ]
    if snippet and any(marked for _, marked in highlighted(title(row).text, look.words)):
        snippet = None  # the title shows why the thread is here
    tail = [(" ", "")] if snippet else _tail(row, look)
    room = max(width - _BEFORE_TITLE - _width(tail), 0)
    behind = _marks(entry, room - _LEAST_TITLE)
    pin: Pieces = [("★ ", "yellow")] if marks.pinned else []
    left = room - _width(behind) - _width(pin)
    line += [*pin, *_title(row, look.words, left * 3 // 5 if snippet else left), *behind]
    left = width - _width(line) - _width(tail)
    if snippet and left > _LEAST_TITLE:
        line += [("  ", ""), *_marked(around(snippet, left - 2), "dim")]
    return _filled(line, width - _width(tail)) + tail


def _second_line(entry: Entry, look: Look, snippet: Snippet | None) -> Pieces:
    room = max(look.width - _BEFORE_TITLE, 0)
    indent: Pieces = [(" " * _BEFORE_TITLE, "")]
    if snippet:
        return _filled(indent + _marked(around(snippet, room), "dim"), look.width)
    text = cut(facts(entry, look.user_home, room), room)
    return _filled([*indent, (text, "dim")], look.width)


def _title(row: Row, words: Sequence[str], room: int) -> Pieces:
    cell = title(row)
    style = "dim italic" if row["archived"] else cell.style
    pieces = around(highlighted(cell.text, words), room)
    return [(piece, f"{style} {MATCH}" if marked else style) for piece, marked in pieces]


def highlighted(text: str, words: Sequence[str]) -> list[tuple[str, bool]]:
    """A text in pieces, each with whether it is one of ``words``."""
    wanted = "|".join(re.escape(word) for word in words if word)
    if not wanted:
        return [(text, False)]
    parts = re.split(f"({wanted})", text, flags=re.IGNORECASE)
    return [(part, bool(place % 2)) for place, part in enumerate(parts) if part] or [("", False)]


def _marks(entry: Entry, room: int) -> Pieces:
    """What stands behind a title: status, tags, and that a thread is archived."""
    marks = entry.marks
    found: Pieces = []
    if where := owner_of(entry.row):
        found.append((f" {where}", "dim magenta"))
    if entry.row["archived"]:
        found.append((" archived", "dim"))
    if marks.status:
        found.append((f" {marks.status}", _STATUS.get(marks.status, "")))
    found += [(f" #{settled(tag)}", "dim cyan") for tag in marks.tags]
    while found and _width(found) > room:
        found.pop()
    return found


def _tail(row: Row, look: Look) -> Pieces:
    """The columns at the right: folder and tokens, as far as there is room."""
    width = look.width
    tail: Pieces = []
    if width >= _LEAST_FOR_FOLDER and not look.detailed:
        room = min(max(width // 5, 11), 28)
        text = cut_folder(folder(row["cwd"], look.user_home), room)
        tail += [(" " * _GAP, ""), (text, "dim"), (" " * (room - cells(text)), "")]
    if width >= _LEAST_FOR_TOKENS and not look.detailed:
        tokens = amount(row["tokens_used"]) if row["tokens_used"] else ""
        tail += [(f"{' ' * _GAP}{tokens:>{_TOKENS}} ", "dim")]
    return tail or [(" ", "")]


def _freshness(row: Row, now_ms: int) -> str:
    old = now_ms - row["recency_at_ms"]
    return next((style for limit, style in _FRESH if old < limit), "dim")


def _marked(pieces: Sequence[tuple[str, bool]], style: str) -> Pieces:
    return [(text, MATCH if marked else style) for text, marked in pieces]


def _width(pieces: Pieces) -> int:
    return sum(cells(text) for text, _ in pieces)


def _filled(pieces: Pieces, width: int) -> Pieces:
    """Exactly ``width`` cells: blanks behind, or less text."""
    left = width
    found: Pieces = []
    for text, style in pieces:
        size = cells(text)
        if size > left:
            text = cut(text, left)
            size = cells(text)
        if text:
            found.append((text, style))
        left -= size
    return [*found, (" " * left, "")] if left > 0 else found


def one_title(row: Row) -> str:
    """What a heading calls a thread."""
    return settled(label(row)) or str(row["id"])


def facts(entry: Entry, user_home: str, room: int = _HEADING) -> str:
    """What else there is to say of a thread, on one line: its note first, which leaves half of the
    ``room`` to the rest."""
    row = entry.row
    others = (
        owner_of(row),
        folder(row["cwd"], user_home),
        settled(row["git_branch"] or ""),
        settled(" ".join(filter(None, (row["model"], row["reasoning_effort"])))),
        f"{amount(row['tokens_used'])} tokens" if row["tokens_used"] else "",
    )
    text = " · ".join(filter(None, others))
    note = cut(settled(entry.marks.note), max(room // 2, room - cells(text) - len(" · ")))
    return " · ".join(filter(None, (note, text)))
