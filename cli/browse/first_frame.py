"""The first frame of the picker, drawn before Textual is loaded, which takes longer than all else.

It has the layout that Textual gives the widgets, so that its own first frame changes nothing.
"""

import os
import shutil
import signal
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from cli.arguments.locations import Locations
from cli.browse.threads.counts import Finding, rule_text, summary
from cli.browse.threads.entries import Entry, entry_steps, pinned_steps
from cli.browse.threads.lines import PROMPT, Look, Pieces, on_cursor, thread_lines
from cli.runtime.in_step import in_step
from cli.terminal.cells import cells, cut
from state.query.listing import count_steps, key_steps
from state.query.model import Counted, Query
from state.query.oneshot import IndexReader

NARROW: Final = 110
"""With fewer columns, the preview is below the list."""
LIST_SHARE: Final = 58
PREVIEW_SHARE: Final = 45
"""Of the columns or lines, in percent: browse.tcss has them, too."""
_AROUND: Final = 3
"""Lines above and below the list: the search box, a rule, the keys."""
_CODES: Final = {"bold": 1, "dim": 2, "italic": 3, "underline": 4, "reverse": 7}
_COLOURS: Final = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


class FirstPage(NamedTuple):
    """The threads that the list begins with."""

    entries: dict[int, Entry]
    """By row id, in order."""
    counted: Counted

    @property
    def finding(self) -> Finding:
        """What is said of them."""
        return Finding(self.counted, threads=self.counted.listed, done=True)


def terminal_size() -> os.terminal_size:
    """The size of the terminal that the picker is drawn on, whatever stdout is."""
    with suppress(OSError):
        size = os.get_terminal_size(sys.__stderr__.fileno() if sys.__stderr__ else 2)
        if size.columns and size.lines:
            return size
    return shutil.get_terminal_size()


def first_page(here: Locations, count: int) -> FirstPage | None:
    """The first ``count`` threads of the index as it is; None if it has to be opened first. Raises
    HomeNotFound if there is no home."""
    query = Query(sort_key="recency_at")

    def read(reader: IndexReader) -> FirstPage:
        listed = [row_id for _, _, row_id in reader.read(key_steps(query, None, count))]
        keys = [*dict.fromkeys([*reader.read(pinned_steps(query)), *listed])][:count]
        found = reader.read(entry_steps(keys))
        entries = {row_id: found[row_id] for row_id in keys if row_id in found}
        return FirstPage(entries, reader.read(count_steps(query)))

    return in_step(here, read, scan=False)


class Layout(NamedTuple):
    """Where the list is on a screen."""

    width: int
    height: int
    list_width: int
    list_height: int

    @classmethod
    def of(cls, width: int, height: int) -> "Layout":
        """The layout of a screen."""
        main = max(height - _AROUND, 0)
        if width >= NARROW:
            return cls(width, height, width * LIST_SHARE // 100, main)
        return cls(width, height, width, main - main * PREVIEW_SHARE // 100)


def frame(
    page: FirstPage | None, layout: Layout, *, scope: str, colours: bool, text: str = ""
) -> list[str]:
    """The lines of the screen but the last, that of the keys; without a ``page`` those above the
    list alone."""
    width = layout.width
    prompt = (text, "") if text else (PROMPT[: width - 4], "dim")
    said = summary(page.finding) if page else ""
    above: list[Pieces] = [
        [(" ", ""), ("❯ ", "bold cyan"), prompt],
        [(rule_text(said, scope, width), "dim")],
    ]
    lines = [_drawn(line, width, colours) for line in above]
    if page is None:
        return lines
    room = layout.list_width - (page.counted.listed > layout.list_height)
    look = Look(room, now_ms=time.time_ns() // 1_000_000, user_home=os.path.expanduser("~"))
    for place, entry in enumerate([*page.entries.values()][: layout.list_height]):
        (pieces,) = thread_lines(entry, look, selected=False, snippet=None)
        shown = on_cursor(pieces, plain=not colours) if not place else pieces
        lines.append(_drawn(shown, room, colours))
    return lines


def _drawn(pieces: Pieces, width: int, colours: bool) -> str:
    line, left = "", width
    for text, words in pieces:
        text = cut(text, left)
        left -= cells(text)
        codes = _codes(words, colours)
        line += f"\x1b[{codes}m{text}\x1b[0m" if codes else text
    return line


def _codes(words: str, colours: bool) -> str:
    """The SGR codes of a style."""
    codes: list[int] = []
    ground = 30
    for word in words.split():
        name = word.removeprefix("bright_")
        if word == "on":
            ground = 40
        elif word in _CODES:
            codes.append(_CODES[word])
        elif colours and name in _COLOURS:
            codes.append(ground + _COLOURS.index(name) + 60 * (name != word))
    return ";".join(map(str, codes))


class _Taken:
    """Who has the screen."""

    drawn = False
    """Whether the first frame is on it."""
    handed_over = False
    """Whether Textual has it, which gives it back."""


TAKEN: Final = _Taken()


@contextmanager
def taken_screen(lines: Sequence[str]) -> Iterator[None]:
    """Take the screen and draw ``lines`` on it. What is typed waits for the picker. The terminal is
    as it was afterwards, however this ends."""
    stream, keyboard = sys.__stderr__, sys.__stdin__
    if stream is None or keyboard is None or not (stream.isatty() and keyboard.isatty()):
        yield
        return
    before = termios.tcgetattr(keyboard.fileno())
    silent = termios.tcgetattr(keyboard.fileno())
    silent[0] &= ~termios.ICRNL
    silent[3] &= ~(termios.ECHO | termios.ICANON)

    def restore() -> None:
        with suppress(OSError, termios.error, ValueError):
            if not TAKEN.handed_over:
                stream.write(_LEAVE)
                stream.flush()
            TAKEN.handed_over = TAKEN.drawn = False
            termios.tcsetattr(keyboard.fileno(), termios.TCSANOW, before)

    def end(number: int, _: object) -> None:
        restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    handlers = {each: signal.signal(each, end) for each in _ENDING}
    try:
        termios.tcsetattr(keyboard.fileno(), termios.TCSANOW, silent)
        TAKEN.drawn = True
        stream.write(_TAKE + "\r\n".join(lines))
        stream.flush()
        yield
    finally:
        restore()
        for number, handler in handlers.items():
            signal.signal(number, handler)


_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
_TAKE: Final = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J"
_LEAVE: Final = "\x1b[?1049l\x1b[?25h\x1b[0m"
