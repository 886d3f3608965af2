"""Blocks of a turn as lines of a width, with what is folded, marked and coloured in them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from cli.render.blocks.block import Block, Form, Role, collapsed
from cli.terminal.cells import cells, settled
from cli.terminal.text import plural
from cli.turns.block_text import MOST_CHARACTERS, texts_of, untabbed
from cli.turns.heads import Key
from rollout.search.terms import Matcher

RUNS: Final[Key] = (-1, -1)
"""All runs of tool calls of a turn."""
_RUN: Final = -2
"""Which block of its first entry a run of tool calls is."""
_LONGEST_STYLED: Final = 2000
_FENCE: Final = re.compile(r" {0,3}(?:```|~~~)")
_HEADING: Final = re.compile(r" {0,3}#{1,6} ")
_LIST: Final = re.compile(r"\s*(?:[-*+]|\d{1,3}[.)]) ")
_INLINE: Final = re.compile(r"(?P<code>`[^`\n]+`)|(?P<strong>\*\*(?=\S)[^*\n]+\*\*)")
_DIFF: Final = (
    ("+++", "file"),
    ("---", "file"),
    ("***", "file"),
    ("diff ", "file"),
    ("@@", "hunk"),
    ("+", "added"),
    ("-", "removed"),
)


class Piece(NamedTuple):
    """Some cells of a line."""

    text: str
    style: str
    hit: int = -1
    """Where the match begins that it is of, in the text of its block; -1 if it is of none."""


class Line(NamedTuple):
    """One line of the screen."""

    pieces: tuple[Piece, ...]
    block: int
    """Which of its chunk's blocks it is of; -1 for a heading or a blank line."""
    at: int = 0
    """Where its first character is in the text of its block."""


class Shown(NamedTuple):
    """A block of a chunk."""

    key: Key
    role: Role
    folded: bool
    """Whether it shows less than there is ..."""
    foldable: bool
    """... and whether Enter changes that."""


class Laid(NamedTuple):
    """Some blocks as lines."""

    lines: list[Line]
    blocks: list[Shown]

    def line_of(self, key: Key, at: int, *, exact: bool = False) -> int | None:
        """The line of a block that has what is at ``at`` in its text; ``exact``: only if that is
        shown, as a match."""
        found = None
        for number, line in enumerate(self.lines):
            if line.block < 0 or self.blocks[line.block].key != key:
                continue
            if exact:
                if any(piece.hit == at for piece in line.pieces):
                    return number
            elif found is None or 0 <= line.at <= at:
                found = number
        return found


class Look(NamedTuple):
    """How blocks are shown."""

    width: int
    tools: str = "short"
    """Of :data:`TOOLS`."""
    matcher: Matcher | None = None
    """What is marked."""


TOOLS: Final = ("short", "full", "off")
"""How tool calls are shown: their first and last lines, all of them, or one line for a run."""


def lay_out(blocks: Iterable[tuple[Key, Block]], look: Look, unfolded: frozenset[Key]) -> Laid:
    """Blocks as lines. ``unfolded`` are those that differ from what ``look`` says of tools."""
    laid = Laid([], [])
    run: list[tuple[Key, Block]] = []
    for key, block in blocks:
        if look.tools == "off" and block.role is Role.TOOL and RUNS not in unfolded:
            run.append((key, block))
            continue
        _lay_run(laid, run, look, unfolded)
        run = []
        _lay_block(laid, key, block, look, unfolded)
    _lay_run(laid, run, look, unfolded)
    return laid


def _lay_run(
    laid: Laid, run: Sequence[tuple[Key, Block]], look: Look, unfolded: frozenset[Key]
) -> None:
    """Tool calls that follow each other, as one line."""
    if not run:
        return
    key = (run[0][0][0], _RUN)
    shown = key in unfolded
    laid.blocks.append(Shown(key, Role.TOOL, not shown, True))
    failed = sum(block.failed for _, block in run)
    pieces = [Piece(f"{'▾' if shown else '▸'} {plural(len(run), 'tool call')}", "dim")]
    if failed:
        pieces.append(Piece(f" · {failed:,} failed", "failed"))
    laid.lines.extend((Line(tuple(pieces), len(laid.blocks) - 1), _blank()))
    for each, block in run if shown else ():
        _lay_block(laid, each, block, look, unfolded)


def _blank() -> Line:
    return Line((), -1)


def _lay_block(laid: Laid, key: Key, block: Block, look: Look, unfolded: frozenset[Key]) -> None:
    title, text = texts_of(block)
    full = (look.tools == "full" and block.role is Role.TOOL) != (key in unfolded)
    head, hidden, tail = collapsed(block, full=full)
    more = len(block.text) - MOST_CHARACTERS
    if more > 0 and (full or block.collapse is None):
        head, hidden, tail = text.split("\n"), 0, []
    foldable = hidden > 0 or (full and collapsed(block, full=False)[1] > 0)
    number = len(laid.blocks)
    laid.blocks.append(Shown(key, block.role, hidden > 0, foldable))
    spans = [*look.matcher.spans(f"{title}\n{text}")] if look.matcher else []
    writer = _Writer(laid.lines, number, look.width, spans)
    front = _front(block)
    if block.role is Role.REASONING and hidden:
        line = untabbed(head[0])
        ends = [Piece(f" … {plural(hidden, 'more line')}", "dim")]
        styles = next(_styles(block, [line]))
        writer.write(line, len(title) + 1, styles, Piece("▸ ", "dim"), ends)
        laid.lines.append(_blank())
        return
    _write_title(writer, block, title, folded=hidden > 0 if foldable else None)
    _write_text(writer, block, head, front, len(title) + 1)
    if hidden:
        writer.aside(front, f"… {plural(hidden, 'more line')}")
        after = len(text) - sum(len(untabbed(line)) + 1 for line in tail) + 1
        _write_text(writer, block, tail, front, len(title) + 1 + after if more <= 0 else -1)
    elif more > 0:
        writer.aside(front, f"… {more:,} more characters: threadkeep show --full has them all")
    for picture in block.pictures:
        writer.aside(front, f"[image: {settled(picture.label)}]")
    laid.lines.append(_blank())


def _write_text(
    writer: "_Writer", block: Block, lines: Sequence[str], front: Piece, at: int
) -> None:
    """Lines of the text of a block; ``at`` is where they begin there, -1 if no matches are
    looked for."""
    settled_lines = [untabbed(line) for line in lines]
    for line, styles in zip(settled_lines, _styles(block, settled_lines), strict=True):
        writer.write(line, at, styles, front, words=_is_prose(block))
        at += len(line) + 1 if at >= 0 else 0


def _is_prose(block: Block) -> bool:
    return block.form in (Form.PLAIN, Form.MARKDOWN)


def _front(block: Block) -> Piece:
    """What stands before each line of a block."""
    if block.role is Role.USER:
        return Piece("┃ ", "user-bar")
    if block.role is Role.AGENT:
        return Piece("", "agent")
    return Piece("  ", "dim") if _is_prose(block) else Piece("│ ", "bar")


def _write_title(writer: "_Writer", block: Block, title: str, *, folded: bool | None) -> None:
    style = {
        Role.AGENT: "agent-title",
        Role.REASONING: "reasoning",
        Role.TOOL: "command" if block.command else "tool",
        Role.NOTE: "note",
        Role.ERROR: "error",
    }.get(block.role, "user-bar")
    gap = "  " if title else ""
    state = [Piece(f"{gap}{settled(block.state)}", "failed" if block.failed else "dim")]
    mark = "" if folded is None else "▸ " if folded else "▾ "
    if not (title or block.state):
        return
    first, *more = title.split("\n")
    room = writer.width
    ends = state if block.state else []
    first_front = Piece(mark, "dim") if mark and not block.command else Piece("", style)
    used = sum(cells(piece.text) for piece in ends)
    fits = not more and cells(first) + cells(first_front.text) + used <= room
    writer.write(first, 0, ((0, len(first), style),), first_front, ends if fits else ())
    at = len(first) + 1
    for line in more:
        writer.write(line, at, ((0, len(line), style),), Piece("  ", style))
        at += len(line) + 1
    if ends and not fits:
        writer.write("", at - 1, (), Piece("", "dim"), ends)


def _styles(block: Block, lines: Sequence[str]) -> Iterator[tuple[tuple[int, int, str], ...]]:
    """The styles of the spans of each line."""
    if block.form is Form.DIFF:
        for line in lines:
            style = next((style for mark, style in _DIFF if line.startswith(mark)), "output")
            yield ((0, len(line), style),)
        return
    if block.form is not Form.MARKDOWN:
        plain = "user" if block.role is Role.USER else "error" if block.failed else "output"
        if block.role is Role.TOOL:
            plain = "output"
        for line in lines:
            yield ((0, len(line), plain),)
        return
    base = "reasoning" if block.role is Role.REASONING else "agent"
    fenced = False
    for line in lines:
        if _FENCE.match(line):
            fenced = not fenced
            yield ((0, len(line), "dim"),)
        elif fenced:
            yield ((0, len(line), "code"),)
        elif _HEADING.match(line):
            yield ((0, len(line), "heading"),)
        else:
            yield tuple(_inline(line, base))


def _inline(line: str, base: str) -> Iterator[tuple[int, int, str]]:
    at = 0
    for found in _INLINE.finditer(line) if len(line) <= _LONGEST_STYLED else ():
        yield at, found.start(), base
        if found["code"]:
            yield found.start(), found.end(), "code"
        else:
            yield found.start() + 2, found.end() - 2, "strong"
        at = found.end()
    yield at, len(line), base


class _Writer:
    """Puts the lines of one block behind each other."""

    def __init__(
        self, lines: list[Line], block: int, width: int, hits: list[tuple[int, int]]
    ) -> None:
        self._lines = lines
        self._block = block
        self.width = width
        self._hits = hits

    def aside(self, front: Piece, text: str) -> None:
        """A line that is not of the text."""
        self._lines.append(Line((front, Piece(text, "dim")), self._block, -1))

    def write(
        self,
        line: str,
        at: int,
        styles: Sequence[tuple[int, int, str]],
        front: Piece,
        ends: Sequence[Piece] = (),
        *,
        words: bool = True,
    ) -> None:
        """A line of the text, which begins ``at`` there, in as many lines as it takes."""
        room = max(self.width - cells(front.text), 8)
        hang = 0
        if words and (found := _LIST.match(line)):
            hang = min(found.end(), room // 2)
        elif words:
            hang = min(len(line) - len(line.lstrip(" ")), room // 2)
        end = at + len(line)
        hits = [hit for hit in self._hits if hit[0] < end and hit[1] > at] if at >= 0 else []
        for start, stop in wrap(line, room, hang if words else 0, words=words):
            pieces = [front] if front.text else []
            if start and hang:
                pieces.append(Piece(" " * hang, front.style))
            pieces += _sliced(line, start, stop, styles, [(a - at, b - at) for a, b in hits], at)
            if stop == len(line):
                pieces += ends
            self._lines.append(Line(tuple(pieces), self._block, at + start))


def _sliced(
    line: str,
    start: int,
    stop: int,
    styles: Sequence[tuple[int, int, str]],
    hits: Sequence[tuple[int, int]],
    at: int,
) -> Iterator[Piece]:
    """A part of a line in pieces of one style each."""
    for first, last, style in styles:
        here, end = max(first, start), min(last, stop)
        for a, b in hits:
            if here < min(a, end):
                yield Piece(line[here : min(a, end)], style)
                here = min(a, end)
            if here < min(b, end):
                yield Piece(line[here : min(b, end)], style, a + at)
                here = min(b, end)
        if here < end:
            yield Piece(line[here:end], style)


def wrap(line: str, room: int, hang: int = 0, *, words: bool = True) -> Iterator[tuple[int, int]]:
    """Where a line is cut so that each part fits in ``room`` cells, all but the first in ``hang``
    less: between ``words`` if there is a blank to cut at."""
    at, limit, size = 0, room, len(line)
    plain = line.isascii()
    while size - at > (limit if plain else 2 * limit) or (not plain and cells(line[at:]) > limit):
        end = at + limit if plain else _fitting(line, at, limit)
        following = end
        if words:
            blank = line.rfind(" ", at + 1, end + 1)
            if blank > at and line[at:blank].strip():
                end, following = blank, blank + 1
        yield at, end
        at, limit = following, room - hang
    yield at, size


def _fitting(line: str, at: int, room: int) -> int:
    """The end of what fits, at least one character."""
    used, end = 0, at
    while end < len(line):
        used += cells(line[end])
        if used > room:
            break
        end += 1
    return max(end, at + 1)
