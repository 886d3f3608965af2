"""The parts of a thread that a reader sees: who says or does something, what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cli.terminal.text import many_lines, one_line

LONGEST_LINE: Final = 2000  # characters of a line that are shown of folded text


class Role(StrEnum):
    """Whose part it is."""

    USER = "user"
    AGENT = "agent"
    REASONING = "reasoning"
    TOOL = "tool"
    NOTE = "note"
    ERROR = "error"


class Form(StrEnum):
    """What kind of text it has."""

    PLAIN = "plain"
    MARKDOWN = "markdown"
    OUTPUT = "output"
    DIFF = "diff"


@dataclass(frozen=True, slots=True)
class Collapse:
    """How many lines at the beginning and at the end are shown of a text that is longer."""

    head: int
    tail: int = 0


COLLAPSED: Final = {
    Form.OUTPUT: Collapse(4, 4),
    Form.DIFF: Collapse(60),
}
COLLAPSED_REASONING: Final = Collapse(1)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of the thread, or where it is if it is not in it."""

    url: str
    """A data URL; empty if the image is not in the thread."""
    label: str


@dataclass(frozen=True, slots=True)
class Block:
    """One part. Its texts have nothing in them that steers a terminal: see :func:`block`."""

    role: Role
    title: str
    text: str = ""
    form: Form = Form.PLAIN
    state: str = ""
    """What came of it: ``exit 1``, ``failed``, ``1.2 s``."""
    failed: bool = False
    command: bool = False
    """Whether the title is a command."""
    pictures: tuple[Picture, ...] = ()

    @property
    def collapse(self) -> Collapse | None:
        """How it is collapsed, if it is long; None if it is never."""
        return COLLAPSED_REASONING if self.role is Role.REASONING else COLLAPSED.get(self.form)


def block(
    role: Role,
    title: str,
    text: str = "",
    form: Form = Form.PLAIN,
    *,
    state: str = "",
    failed: bool = False,
    command: bool = False,
    pictures: tuple[Picture, ...] = (),
) -> Block:
    """A block with texts from a rollout, which may hold anything."""
    clean: Callable[[str], str] = many_lines if command else one_line
    return Block(
        role,
        clean(title).strip(),
        many_lines(text).strip("\n"),
        form,
        one_line(state),
        failed,
        command,
        pictures,
    )


def collapsed(shown: Block, *, full: bool) -> tuple[list[str], int, list[str]]:
    """The lines of a block that are shown, and how many are left out between them."""
    lines = shown.text.split("\n") if shown.text else []
    fold = shown.collapse
    if full or fold is None:
        return lines, 0, []
    hidden = len(lines) - fold.head - fold.tail
    if hidden <= 1:  # a line that says so would take as much room
        return [_cut(line) for line in lines], 0, []
    head, tail = lines[: fold.head], lines[len(lines) - fold.tail :]
    return [_cut(line) for line in head], hidden, [_cut(line) for line in tail]


def _cut(line: str) -> str:
    more = len(line) - LONGEST_LINE
    return f"{line[:LONGEST_LINE]} … {more:,} more characters" if more > 0 else line
