"""The blocks of a thread that a reader sees: who says or does something, and its result."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cli.terminal.text import many_lines, one_line

LONGEST_LINE: Final = 2000  # characters of a line that are shown of collapsed text


class Role(StrEnum):
    """Whose block it is."""

    USER = "user"
    AGENT = "agent"
    REASONING = "reasoning"
    TOOL = "tool"
    NOTE = "note"
    ERROR = "error"


class Form(StrEnum):
    """The kind of its text."""

    PLAIN = "plain"
    MARKDOWN = "markdown"
    OUTPUT = "output"
    DIFF = "diff"


@dataclass(frozen=True, slots=True)
class Collapse:
    """How many lines of a long text are shown at its beginning and its end."""

    head: int
    tail: int = 0


COLLAPSED: Final = {Form.OUTPUT: Collapse(4, 4), Form.DIFF: Collapse(60)}
COLLAPSED_REASONING: Final = Collapse(1)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of the thread, or a label for one that is not in it."""

    url: str
    """A data URL; empty if the image is not in the thread."""
    label: str


@dataclass(frozen=True, slots=True)
class Block:
    """One block. Its texts hold nothing that controls a terminal: see :func:`block`."""

    role: Role
    title: str
    text: str = ""
    form: Form = Form.PLAIN
    state: str = ""
    """Its result: ``exit 1``, ``failed``, ``1.2 s``."""
    failed: bool = False
    command: bool = False
    """Whether the title is a command."""
    pictures: tuple[Picture, ...] = ()

    @property
    def collapse(self) -> Collapse | None:
        """How it is collapsed if it is long; None if it never is."""
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
    """A block with texts from a rollout, made safe for a terminal."""
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
    """The first and last lines of a block that are shown, and the number left out between them."""
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
