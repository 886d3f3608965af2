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
_LEAST: Final = 200
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
            text = self._redacted(text_of(block))[offset:]
            if (size := size_of(text)) > self.left:
                kept = beginning(text, self.left) if self.left >= _LEAST else ""
                written += filter(None, [kept])
                stopped = Place(turn, chunk, key, offset + len(kept))
                return Piece("\n".join(written), stopped)
            self.left -= size
            written.append(text)
        return Piece("\n".join(written), None)


def part_of(block: Block) -> str:
    """Which part of a turn a block is."""
    if block.role is Role.REASONING:
        return "reasoning"
    if block.role is not Role.TOOL:
        return "messages"
    return "patches" if block.form is Form.DIFF else "tools"


def text_of(block: Block) -> str:
    """A block as Markdown, with the first and last lines of a long output."""
    state = f" ({block.state})" if block.state else ""
    lines = [f"$ {block.title}{state}" if block.command else f"**{block.title}**{state}"]
    if block.form is Form.DIFF:
        lines.append(fenced(block.text, "diff").rstrip("\n"))
    elif block.role is Role.TOOL and block.text:
        lines.append(fenced(_ends(block.text)).rstrip("\n"))
    elif block.text:
        lines.append(block.text)
    lines += [f"[image: {picture.label or 'inline'}]" for picture in block.pictures]
    return "\n".join(lines) + "\n"


def _ends(text: str) -> str:
    lines = [
        f"{line[:LONGEST_LINE]} …" if len(line) > LONGEST_LINE else line
        for line in text.split("\n")
    ]
    if (more := len(lines) - _HEAD_LINES - _TAIL_LINES) > 1:
        lines[_HEAD_LINES:-_TAIL_LINES] = [f"… {more:,} more lines …"]
    return "\n".join(lines)
