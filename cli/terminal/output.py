"""Data to stdout, words to stderr; colours and progress only on a terminal."""

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any

from cli.terminal.text import _UNPRINTED
from rollout.files.cancellation import check_cancelled

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text


_MOST_KEPT = 4 * 2**20


class TooMuchOutput(Exception):
    """More than a server keeps of a command's output."""


@dataclass(slots=True)
class Screen:
    """Takes what a command prints that a server runs for somebody else."""

    terminal: bool
    """Whether that is for a terminal."""
    columns: int
    environment: Mapping[str, str]
    """What says how the terminal wants it, such as ``NO_COLOR``."""
    out: bytearray = field(default_factory=bytearray)
    said: list[str] = field(default_factory=list)

    def put(self, content: bytes) -> None:
        """Take some of the output.

        Raises:
            TooMuchOutput: that would be too much to keep.
        """
        check_cancelled()
        if len(self.out) + len(content) > _MOST_KEPT:
            raise TooMuchOutput
        self.out += content


elsewhere: ContextVar[Screen | None] = ContextVar("elsewhere", default=None)
"""Where output goes that is not for this process's own stdout and stderr."""


def on_terminal() -> bool:
    """Whether somebody reads stdout on a terminal."""
    screen = elsewhere.get()
    return sys.stdout.isatty() if screen is None else screen.terminal


def table(shown: "Table") -> None:
    """Print a table to stdout."""
    _draw([shown])


def texts(shown: "Sequence[Text]") -> None:
    """Print lines with colours to stdout."""
    _draw(shown)


def _draw(shown: "Sequence[RenderableType]") -> None:
    from rich.console import Console

    screen = elsewhere.get()
    if screen is None:
        Console(highlight=False).print(*shown, sep="\n")
        return
    drawn = StringIO()
    console = Console(
        file=drawn,
        force_terminal=screen.terminal,
        width=screen.columns,
        _environ=screen.environment,
        highlight=False,
    )
    console.print(*shown, sep="\n")
    screen.put(drawn.getvalue().encode("utf-8", "replace"))


def width() -> int:
    """The columns of the terminal."""
    screen = elsewhere.get()
    if screen is not None:
        return screen.columns
    import shutil

    return shutil.get_terminal_size().columns


def data(value: Any) -> None:
    """Print one JSON document to stdout, as UTF-8 whatever the locale."""
    lines([json_text(value, indent=2)])


def json_text(value: Any, indent: int | None = None) -> str:
    """``value`` as JSON for stdout."""
    return shown_json(json.dumps(value, ensure_ascii=False, indent=indent))


def shown_json(text: str) -> str:
    """A JSON text for stdout: on a terminal, characters that would steer it are spelled out, which
    means the same to a parser; what reads a pipe gets them as they are."""
    if not on_terminal() or (text.isascii() and "\x7f" not in text):
        return text
    return "".join(map(_spelled, text))


def _spelled(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _STEERING:
        return character
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"


def lines(texts: Iterable[str]) -> None:
    """Print lines of data to stdout, as UTF-8 whatever the locale.

    Ends the program, quietly, if whoever reads them has had enough.
    """
    write("".join(text + "\n" for text in texts).encode("utf-8", "replace"))


def write(content: bytes) -> None:
    """Print data to stdout as it is; see :func:`lines`."""
    screen = elsewhere.get()
    if screen is not None:
        screen.put(content)
        return
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is still in the buffer would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(0) from None
        say(f"threadkeep: the output cannot be written: {error.strerror}")
        raise SystemExit(7) from None


def line(text: str = "") -> None:
    """Print one line of data to stdout."""
    lines([text])


_sayer: "Callable[[str, str], None] | None" = None


def redirect_messages(sayer: "Callable[[str, str], None]") -> None:
    """From now on give ``sayer`` what :func:`say` is given, and how serious it is."""
    global _sayer
    _sayer = sayer


def say(text: str, level: str = "info") -> None:
    """Print a line about the work to stderr."""
    screen = elsewhere.get()
    if screen is not None:
        screen.said.append(text)
        return
    if _sayer is not None:
        _sayer(text, level)
        return
    print(text, file=sys.stderr, flush=True)


_STEERING = _UNPRINTED | {"Zl", "Zp"}
"""What JSON on a terminal spells out: lines end only where they look it, too."""
