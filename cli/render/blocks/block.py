"""The blocks of a thread that a reader sees: who says or does something, and its result."""

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
    left_out: bool = False
    """Whether it is in the thread, in a very long line, and was not read."""


@dataclass(slots=True)
class Block:
    """One block. Its texts come from a rollout, and are made safe for a terminal."""

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

    def __post_init__(self) -> None:
        clean = many_lines if self.command else one_line
        self.title = clean(self.title).strip()
        self.text = many_lines(self.text).strip("\n")
        self.state = one_line(self.state)

    @property
    def collapse(self) -> Collapse | None:
        """How it is collapsed if it is long; None if it never is."""
        return COLLAPSED_REASONING if self.role is Role.REASONING else COLLAPSED.get(self.form)


def collapsed(shown: Block, *, full: bool) -> tuple[list[str], int, list[str]]:
    """The first and last lines of a block that are shown, and the number left out between them."""
    text, fold = shown.text, shown.collapse
    if full or fold is None:
        return text.split("\n") if text else [], 0, []
    hidden = text.count("\n") + 1 - fold.head - fold.tail
    if hidden <= 1:  # a line that says so would take as much room
        return [_cut(line) for line in text.split("\n")] if text else [], 0, []
    head = text.split("\n", fold.head)[: fold.head]
    tail = text.rsplit("\n", fold.tail)[1:] if fold.tail else []
    return [_cut(line) for line in head], hidden, [_cut(line) for line in tail]


def _cut(line: str) -> str:
    more = len(line) - LONGEST_LINE
    return f"{line[:LONGEST_LINE]} … {more:,} more characters" if more > 0 else line
