"""Turns as text for a model."""

from collections.abc import Callable, Iterator, Set
from typing import Final, NamedTuple

from cli.mcp.budget import beginning, size_of
from cli.mcp.places import Place
from cli.render.blocks.block import LONGEST_LINE, Block, Form, Role
from cli.render.markdown import fenced
from cli.turns.heads import Key, TurnKey

_HEAD_LINES: Final = 10
_TAIL_LINES: Final = 20
"""So many lines of an output are told, from its beginning and its end."""
_AROUND: Final = 8_000
"""Secrets are looked for in so many characters around what is told of a long text."""
LEAST: Final = 200
"""No text is cut to fewer bytes: it begins the next page."""


class Piece(NamedTuple):
    """As much of a chunk of a turn as fits."""

    text: str
    stopped: Place | None
    """Where the next page begins; None if all of the chunk is there."""


class TurnWriter:
    """Writes chunks of turns, in order and from a place on, until so many bytes are ``left``."""

    def __init__(
        self, begin: Place, parts: Set[str], left: int, redacted: Callable[[str], str]
    ) -> None:
        self._begin, self._parts, self._redacted = begin, parts, redacted
        self.left = left

    def write(self, turn: TurnKey, chunk: int, blocks: Iterator[tuple[Key, Block]]) -> Piece:
        """The blocks of a chunk of a turn."""
        written: list[str] = []
        begins_here = (turn, chunk) == self._begin[:2]
        for key, block in blocks:
            if part_of(block) not in self._parts or (begins_here and key < self._begin.block):
                continue
            said = begins_here and key == self._begin.block
            offset = self._begin.offset if said else 0
            text = self._text(block, offset)
            if (size := size_of(text)) > self.left:
                kept = beginning(text, self.left) if self.left >= LEAST else ""
                written += filter(None, [kept])
                stopped = Place(turn, chunk, key, offset + len(kept))
                return Piece("\n".join(written), stopped)
            self.left -= size
            written.append(text)
        return Piece("\n".join(written), None)

    def _text(self, block: Block, offset: int) -> str:
        """A block without secrets from a character on; of a long one as much as may fit."""
        most = offset + self.left + _AROUND
        text = text_of(block, self._redacted, most)[offset:]
        if len(block.text) > most and size_of(text) <= self.left:  # it had long secrets
            text = text_of(block, self._redacted, len(block.text))[offset:]
        return text


def part_of(block: Block) -> str:
    """Which part of a turn a block is."""
    if block.role is Role.REASONING:
        return "reasoning"
    if block.role is not Role.TOOL:
        return "messages"
    return "patches" if block.form is Form.DIFF else "tools"


def text_of(block: Block, redacted: Callable[[str], str], most: int) -> str:
    """A block as Markdown without secrets, with the first and last lines of a long output, and so
    many characters of other texts."""
    title = redacted(block.title)
    state = f" ({block.state})" if block.state else ""
    lines = [f"$ {title}{state}" if block.command else f"**{title}**{state}"]
    if block.form is Form.DIFF:
        lines.append(fenced(redacted(block.text[:most]), "diff").rstrip("\n"))
    elif block.role is Role.TOOL and block.text:
        lines.append(fenced(_ends(block.text, redacted)).rstrip("\n"))
    elif block.text:
        lines.append(redacted(block.text[:most]))
    lines += [f"[image: {redacted(picture.label) or 'inline'}]" for picture in block.pictures]
    return "\n".join(lines) + "\n"


def _ends(text: str, redacted: Callable[[str], str]) -> str:
    """The first and last lines of a text. Secrets are taken out before lines are left out or cut:
    nobody knows the end of a private key for one."""
    count = text.count("\n") + 1
    if len(text) > 2 * _AROUND:
        first, _, _ = text[:_AROUND].rpartition("\n")
        _, _, last = text[-_AROUND:].partition("\n")
        begin = redacted(first or text[:_AROUND]).split("\n")[:_HEAD_LINES]
        end = redacted(last).split("\n")[-_TAIL_LINES:] if last else []
    else:
        begin, end = redacted(text).split("\n"), []
        count = len(begin)
        if count > _HEAD_LINES + _TAIL_LINES + 1:
            begin, end = begin[:_HEAD_LINES], begin[-_TAIL_LINES:]
    lines = [f"{line[:LONGEST_LINE]} …" if len(line) > LONGEST_LINE else line for line in begin]
    if (more := count - len(begin) - len(end)) > 0:
        lines.append(f"… {more:,} more line{'s' * (more > 1)} …")
    lines += [f"{line[:LONGEST_LINE]} …" if len(line) > LONGEST_LINE else line for line in end]
    return "\n".join(lines)
