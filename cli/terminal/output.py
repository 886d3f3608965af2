"""Data to stdout, words to stderr; colours and progress only on a terminal."""

import json
import math
import os
import re
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from rollout.files.cancellation import check_wanted

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from state.jobs.progress import Counts, Report


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
        check_wanted()
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


def say_elsewhere(sayer: "Callable[[str, str], None]") -> None:
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


def one_line(text: str) -> str:
    """``text`` safe for a terminal on one line: no escape sequences, no control characters, no
    runs of blanks."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    return " ".join(_printed(_SEQUENCE.sub("", text)).split())


def shortened(text: str, most: int) -> str:
    """A line in at most so many characters, with … where it is cut: never between a letter and
    what is put on it."""
    if len(text) <= most:
        return text
    end = most - 1
    while end and unicodedata.category(text[end]) in _PUT_ON:
        end -= 1
    return f"{text[: end or most - 1].rstrip()}…"


def _printed(text: str) -> str:
    return "".join(
        " " if character.isspace() else character
        for character in text
        if character.isspace() or unicodedata.category(character) not in _UNPRINTED
    )


def one_line_marked(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """As :func:`one_line`, in pieces, each with whether it is one of ``spans``, which are in
    order and apart; blanks between pieces stay."""
    # As long as it was, so that the spans still fit; sequences go even if a span begins in one.
    text = _SEQUENCE.sub(lambda found: "\0" * len(found[0]), text)
    end = 0
    for start, stop in spans:
        yield _inside(text[end:start]), False
        yield _inside(text[start:stop]), True
        end = stop
    yield _inside(text[end:]), False


def _inside(text: str) -> str:
    text = _printed(text)
    front, back = text[:1] == " ", text[-1:] == " "
    clean = " ".join(text.split())
    return f"{' ' * front}{clean}{' ' * (back and bool(clean))}"


def many_lines(text: str) -> str:
    """``text`` safe for a terminal on the lines that it has: newlines and tabs stay, and escape
    sequences go with all that belongs to them."""
    if not text.isascii() or "\x1b" in text:
        text = _SEQUENCE.sub("", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return printable(text)


def printable(text: str) -> str:
    """``text`` without single characters that steer a terminal; newlines and tabs stay."""
    if text.isascii() and not re.search("[\0-\x08\x0b-\x1f\x7f]", text):
        return text
    unwanted: dict[int, str | None] = {}
    for character in set(text):
        if character in "\u2028\u2029\x85\v\f":
            unwanted[ord(character)] = "\n"
        elif character not in "\n\t" and unicodedata.category(character) in _UNPRINTED:
            unwanted[ord(character)] = None
    return text.translate(unwanted) if unwanted else text


# Commands of terminals: with parameters, whole or cut off; texts such as titles, to their end; and
# short ones. Characters of the other spelling are also what is left of letters that were read in
# the wrong encoding: such a one begins a text only if that has an end.
_SEQUENCE: Final = re.compile(
    r"(?:\x1b\[|\x9b)(?:[0-?]*[ -/]*[@-~]|[0-?]*)"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|[\x9d\x90\x98\x9e\x9f][^\x07\x1b\x90\x98\x9c-\x9f\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b(?:[78=>DEHMNOZc]|[#%(-/][0-~]| [FGLMN])?"
)


# Control, format (writing direction can be turned with those), surrogate, private, unassigned.
# Joiners within emoji are format characters too; without them an emoji falls into its parts.
_UNPRINTED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


_STEERING = _UNPRINTED | {"Zl", "Zp"}
"""What JSON on a terminal spells out: lines end only where they look it, too."""


# Accents and variants, and the modifiers that give emoji their colour.
_PUT_ON: Final = frozenset({"Mn", "Mc", "Me", "Sk"})


def age(then_ms: int, now_ms: int) -> str:
    """How long ago, in its largest unit: ``now``, ``5m``, ``3h``, ``2d``, ``6w``, ``1y``."""
    seconds = (now_ms - then_ms) // 1000
    if seconds < 60:
        return "now" if seconds > -60 else "ahead"
    for unit, size, limit in (("m", 60, 60), ("h", 3600, 24), ("d", 86400, 14), ("w", 604800, 52)):
        if seconds // size < limit:
            return f"{seconds // size}{unit}"
    return f"{seconds // 31_557_600}y"


def iso(time_ms: int | None) -> str:
    """RFC 3339 in UTC, whole seconds; empty for none, and for one that no calendar has."""
    if time_ms is None:
        return ""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_ms // 1000))
    except (OverflowError, ValueError, OSError):  # a file may say anything
        return ""


def amount(number: int) -> str:
    """A number in three digits or so: ``950``, ``6.3k``, ``1.2M``."""
    for unit, size in (("G", 1_000_000_000), ("M", 1_000_000), ("k", 1000)):
        if number >= size:
            value = number / size if number < _MOST_COUNTED else math.inf
            return f"{value:.0f}{unit}" if value >= 100 else f"{value:.1f}{unit}"
    return str(number)


_MOST_COUNTED: Final = 10**300
"""Floats end beyond it."""


def plural(count: int, noun: str) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


@contextmanager
def progress(what: str, unit: str = "files") -> Iterator["Report | None"]:
    """A progress bar with rate and time left on stderr, once there is something to be read;
    nothing where that is no terminal."""
    if elsewhere.get() is not None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    began = time.monotonic()
    task = bar.add_task(what, total=None, rate="")

    def report(counts: "Counts") -> None:
        bar.start()
        elapsed = max(time.monotonic() - began, 0.001)
        rate = f"{counts.read / elapsed:,.0f} {unit}/s"
        if counts.bytes_read:
            rate += f", {amount(counts.bytes_read)}B"
        bar.update(task, total=counts.to_read or None, completed=counts.read, rate=rate)

    try:
        yield report
    finally:
        bar.stop()
