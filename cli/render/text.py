"""A thread as text: plain for pipes, coloured and with Markdown rendered for a terminal."""

import re
from collections.abc import Iterator
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from cli.render.blocks.block import Block, Form, Role, collapsed
from cli.render.reading import Reading, ShownTurn
from cli.render.turn_selection import ranges
from cli.terminal.cells import cells, cut, settled
from cli.terminal.drawing import console, markdown
from cli.terminal.text import iso, local, one_line, plural, printable

if TYPE_CHECKING:
    from rich.style import Style

_INDENT: Final = "  "
_LONGEST_MARKDOWN: Final = 50_000
"""Characters: rendering longer Markdown takes too long."""
_STYLED: Final = re.compile(r"(\x1b\[[0-9;]*m)")
_FILLED: Final = re.compile(r" +(?=(?:\x1b\[0m *)?$)", re.MULTILINE)
_ID_START: Final = 13
"""Of an id that is made of a time this much has its milliseconds."""


def written(reading: Reading, *, full: bool, width: int | None = None) -> Iterator[str]:
    """The text of a thread, in pieces; with ``width``, for a terminal of so many columns."""
    style = Plain() if width is None else Terminal(width)
    yield style.heading(reading.title)
    yield style.aside(" · ".join(reading.facts(style.time)))
    for line in (*reading.marks(), *reading.warnings()):
        yield style.aside(line)
    if not reading.dialogue.turns and not reading.dialogue.orphans:
        yield style.aside("No messages yet.")
    if not reading.whole and reading.numbers:
        some, count = ranges(reading.numbers), len(reading.dialogue.turns)
        turns = "Turn" if len(reading.numbers) == 1 else "Turns"
        yield style.aside(f"{turns} {some.replace(',', ', ')} of {count:,}: --outline lists all.")
    for turn in reading.turns():
        yield "\n"
        yield style.turn(turn, reading)
        for shown in turn.blocks:
            yield "\n"
            yield from _block(style, shown, full=full)


def turn_line(turn: ShownTurn) -> str:
    """The heading of a turn."""
    return one_line(" · ".join([turn.name, *turn.facts, turn.id]))


def _block(style: "Plain | Terminal", shown: Block, *, full: bool) -> Iterator[str]:
    yield style.title(shown)
    head, hidden, tail = collapsed(shown, full=full)
    if head:
        yield style.body(shown, head)
    if hidden:
        yield style.aside(f"{_INDENT}… {plural(hidden, 'more line')} (--full)")
    if tail:
        yield style.body(shown, tail)
    for picture in shown.pictures:
        yield style.aside(f"{_INDENT}[image: {one_line(picture.label)}]")


class Plain:
    """For pipes. Texts are indented, so that nothing in them looks like a heading."""

    time = staticmethod(iso)

    def heading(self, text: str) -> str:
        return f"{text}\n"

    def turn(self, turn: ShownTurn, reading: Reading) -> str:
        return f"{turn_line(turn)}\n"

    def title(self, shown: Block) -> str:
        title = f"$ {shown.title}" if shown.command else shown.title
        first, *more = (f"{title}  ({shown.state})" if shown.state else title).split("\n")
        return "".join(f"{line}\n" for line in [first, *(f"{_INDENT}{line}" for line in more)])

    def body(self, shown: Block, lines: list[str]) -> str:
        return "".join(f"{_INDENT}{line}\n" if line else "\n" for line in lines)

    aside = heading


_TITLES: Final = {
    Role.USER: "bold cyan",
    Role.AGENT: "bold green",
    Role.REASONING: "italic magenta",
    Role.TOOL: "bold",
    Role.NOTE: "yellow",
    Role.ERROR: "bold red",
}
_DIFF: Final = (("+", "green"), ("-", "red"), ("@@", "cyan"), ("***", "cyan"))


class Terminal:
    """For a terminal of a width, in its own colours."""

    time = staticmethod(local)

    def __init__(self, width: int) -> None:
        self._drawn = StringIO()
        self._console = console(self._drawn, width)
        self._width = width

    def heading(self, text: str) -> str:
        return self._text(text, "bold")

    def turn(self, turn: ShownTurn, reading: Reading) -> str:
        """A bar with number, time and prompt, and the start of the id where there is room."""
        from rich.text import Text

        prompt = settled(reading.prompt(turn.number)) if turn.number else ""
        name, *facts = turn.name.capitalize(), local(turn.started_ms), turn.duration, turn.status
        facts = [*filter(None, (*facts, prompt))]
        line = cut(settled(" · ".join([name, *facts])), self._width - 2)
        id_ = settled(turn.id)[:_ID_START]
        room = self._width - 2 - cells(line) - cells(id_)
        bar = Text(f" {line}", style="bold reverse")
        if room > 1:
            bar.append(" " * room)
            bar.append(id_, style="not bold dim")
        bar.append(" " * (self._width - bar.cell_len))
        return self._print(bar)

    def title(self, shown: Block) -> str:
        from rich.text import Text

        title = f"$ {shown.title}" if shown.command else shown.title
        text = Text(title, style=_TITLES[shown.role])
        if shown.state:
            text.append(f"  ({shown.state})", style="red" if shown.failed else "dim")
        return self._print(text)

    def body(self, shown: Block, lines: list[str]) -> str:
        text = "\n".join(lines)
        if shown.form is Form.MARKDOWN and len(text) <= _LONGEST_MARKDOWN:
            return self._markdown(text, dim=shown.role is Role.REASONING)
        if shown.form is Form.DIFF:
            return "".join(self._indented(line, _diff_style(line)) for line in lines)
        style = "dim" if shown.form is Form.OUTPUT else "red" if shown.role is Role.ERROR else ""
        return self._indented(text, style)

    def aside(self, text: str) -> str:
        return self._text(text, "dim")

    def _markdown(self, text: str, *, dim: bool) -> str:
        style = "dim" if dim else "none"
        try:
            return self._padded(markdown()(text, style))
        except RecursionError:  # deeply nested lists
            self._drawn_text()
            return self._indented(text, "")

    def _indented(self, text: str, style: str) -> str:
        from rich.text import Text

        return self._padded(Text(text, style=style))

    def _padded(self, shown: Any) -> str:
        """Indented, the lines that are too long too, without the blanks that rich fills up with."""
        from rich.padding import Padding

        drawn = self._print(Padding(shown, (0, 0, 0, len(_INDENT))))
        return _FILLED.sub("", drawn)

    def _text(self, text: str, style: "str | Style") -> str:
        from rich.text import Text

        return self._print(Text(text, style=style))

    def _print(self, shown: Any) -> str:
        self._console.print(shown, soft_wrap=False)
        return self._drawn_text()

    def _drawn_text(self) -> str:
        """What was drawn. Markdown can spell characters that were removed from its source."""
        drawn = self._drawn.getvalue()
        self._drawn.seek(0)
        self._drawn.truncate()
        parts = _STYLED.split(drawn)
        parts[::2] = [printable(part) for part in parts[::2]]
        return "".join(parts)


def _diff_style(line: str) -> str:
    return next((style for mark, style in _DIFF if line.startswith(mark)), "")
