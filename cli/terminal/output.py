"""Data on stdout, messages on stderr; colours only on a terminal."""

import errno
import itertools
import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from cli.terminal.delegated import DELEGATED
from cli.terminal.progress import clear_bars
from cli.terminal.text import UNPRINTED, iso, local


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    client = DELEGATED.get()
    return sys.stdout.isatty() if client is None else client.terminal


def width() -> int:
    """The columns of the terminal."""
    client = DELEGATED.get()
    if client is not None:
        return client.columns
    import shutil

    return shutil.get_terminal_size().columns


def height() -> int:
    """The lines of the terminal."""
    client = DELEGATED.get()
    if client is not None:
        return client.lines
    import shutil

    return shutil.get_terminal_size().lines


def moment(time_ms: int | None) -> str:
    """A time for people on a terminal, where they are; in UTC for programs."""
    return local(time_ms) if on_terminal() else iso(time_ms)


def has_blocks() -> bool:
    """Whether the terminal can show the characters of bars."""
    if DELEGATED.get() is not None:
        return True
    import locale

    try:
        for encoding in (locale.getencoding(), sys.stdout.encoding):
            "█".encode(encoding)
    except (LookupError, UnicodeError):
        return False
    return True


def data(value: Any, *, changed: bool = False) -> None:
    """Print one JSON document to stdout, as UTF-8 whatever the locale; see :func:`write`."""
    pieces = json.JSONEncoder(ensure_ascii=False, indent=2).iterencode(value)
    while some := "".join(itertools.islice(pieces, _PIECES)):
        write(shown_json(some).encode("utf-8", "replace"), changed=changed)
    write(b"\n", changed=changed)


class Made(list[Any]):
    """A list of which each value is made when it is written as JSON: all at once may be much."""

    def __init__(self, make: Callable[[Any], Any], of: Iterable[Any]) -> None:
        super().__init__(of)
        self._make = make

    def __iter__(self) -> Iterator[Any]:
        return map(self._make, super().__iter__())


_PIECES: Final = 20_000
_LINES: Final = 1000
"""How many of a document, or of a list, are written at a time."""


def json_text(value: Any) -> str:
    """``value`` as JSON for stdout."""
    return shown_json(json.dumps(value, ensure_ascii=False))


def shown_json(text: str) -> str:
    """A JSON text for stdout. On a terminal, characters that would control it are escaped, which
    means the same to a parser; into a pipe they go as they are."""
    if not on_terminal() or (text.isascii() and "\x7f" not in text):
        return text
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _CONTROLS:
        return character
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"


def lines(texts: Iterable[str], *, changed: bool = False) -> None:
    """Print lines of data to stdout, as UTF-8 whatever the locale; see :func:`write`."""
    every = iter(texts)
    while some := "".join(text + "\n" for text in itertools.islice(every, _LINES)):
        write(some.encode("utf-8", "replace"), changed=changed)


def write(content: bytes, *, changed: bool = False) -> None:
    """Print data to stdout as it is. If the reader has closed it, end the program quietly; if it
    cannot be written, with a message that says whether the command has ``changed`` something."""
    client = DELEGATED.get()
    if client is not None:
        client.write(content)
        return
    clear_bars()
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except OSError as error:
        _end(error, changed=changed)


def keep_stdout() -> None:
    """Have no process that this one starts inherit stdout, unless it is a terminal: so that
    :func:`end` can end it."""
    number = _stdout_number()
    if number != 1:
        return
    kept = open(os.dup(number), "w", encoding=sys.stdout.encoding, errors="replace")  # noqa: SIM115
    sys.stdout.flush()
    _to_nowhere(number)
    sys.stdout = kept


def end() -> None:
    """End stdout, unless it is a terminal: who reads it goes on while this process works on."""
    flush()
    if (number := _stdout_number()) is not None:
        _to_nowhere(number)


def _stdout_number() -> int | None:
    """The descriptor of stdout; None for a terminal, and where it has none of its own."""
    if DELEGATED.get() is not None or sys.stdout.isatty():
        return None
    try:
        return sys.stdout.fileno()
    except OSError:  # in memory
        return None


def _to_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number, inheritable=number == 1)
    os.close(nowhere)


def flush() -> None:
    """Have what others have printed reach stdout, or end the program as :func:`write` does."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _end(error, changed=False)


def _end(error: OSError, *, changed: bool) -> NoReturn:
    # What is still in the buffer would fail again when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        raise SystemExit(0) from None
    hint = "give it an output that can be written, then run the same command again"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space on its disk (see df), then run the same command again"
    if changed:
        hint = "the changes were made; threadkeep list shows the threads"
    say(f"threadkeep: the output cannot be written: {error.strerror}\n  {hint}", "error")
    raise SystemExit(7) from None


def line(text: str = "") -> None:
    """Print one line of data to stdout."""
    lines([text])


interrupted = "Interrupted."
"""What is said when an interrupt ends the program; a job says what it leaves."""


_receiver: "Callable[[str, str], None] | None" = None


def redirect_messages(receiver: "Callable[[str, str], None] | None") -> None:
    """From now on pass the messages of :func:`say` and their levels to ``receiver``; None prints
    them again."""
    global _receiver
    _receiver = receiver


def say(text: str, level: str = "info") -> None:
    """Print a message to stderr."""
    client = DELEGATED.get()
    if client is not None:
        client.messages.append(text)
        return
    if _receiver is not None:
        _receiver(text, level)
        return
    clear_bars()
    print(text, file=sys.stderr, flush=True)


_CONTROLS = UNPRINTED | {"Zl", "Zp"}
"""What JSON on a terminal escapes: with line separators, so that lines end where they seem to."""


@contextmanager
def held_messages() -> Iterator[None]:
    """Keep the messages of :func:`say` until the end: the screen is not theirs."""
    held: list[tuple[str, str]] = []
    redirect_messages(lambda text, level: held.append((text, level)))
    try:
        yield
    finally:
        redirect_messages(None)
        for text, level in held:
            say(text, level)
