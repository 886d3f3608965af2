"""Text for a terminal: amounts, times, and nothing that misleads it."""

import math
import re
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rollout.files.text import ESCAPE_SEQUENCE, printed
from rollout.files.text import UNPRINTED as UNPRINTED
from rollout.files.text import one_line as one_line
from rollout.files.text import shortened as shortened


def one_line_marked(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """As :func:`one_line`, in pieces, each with whether it is one of ``spans``, which are in order
    and do not overlap. Blanks between pieces stay."""
    # The length stays, so that the spans still fit. Sequences go even if a span begins in one.
    text = re.sub(ESCAPE_SEQUENCE, lambda found: "\0" * len(found[0]), text)
    end = 0
    for start, stop in spans:
        yield _inside(text[end:start]), False
        yield _inside(text[start:stop]), True
        end = stop
    yield _inside(text[end:]), False


def _inside(text: str) -> str:
    text = printed(text)
    front, back = text[:1] == " ", text[-1:] == " "
    clean = " ".join(text.split())
    return f"{' ' * front}{clean}{' ' * (back and bool(clean))}"


def many_lines(text: str) -> str:
    """``text`` on its lines, safe for a terminal: newlines and tabs stay, escape sequences go with
    all that belongs to them."""
    if not text.isascii() or "\x1b" in text:
        text = re.sub(ESCAPE_SEQUENCE, "", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return printable(text)


def printable(text: str) -> str:
    """``text`` without characters that control a terminal; newlines and tabs stay."""
    if text.isascii() and not re.search("[\0-\x08\x0b-\x1f\x7f]", text):
        return text
    unwanted: dict[int, str | None] = {}
    for character in set(text):
        if character in "\u2028\u2029\x85\v\f":
            unwanted[ord(character)] = "\n"
        elif character not in "\n\t" and unicodedata.category(character) in UNPRINTED:
            unwanted[ord(character)] = None
    return text.translate(unwanted) if unwanted else text


def age(then_ms: int, now_ms: int) -> str:
    """How long ago, in the largest unit: ``now``, ``5m``, ``3h``, ``2d``, ``6w``, ``1y``."""
    seconds = (now_ms - then_ms) // 1000
    if seconds < 60:
        return "now" if seconds > -60 else "ahead"
    for unit, size, limit in (("m", 60, 60), ("h", 3600, 24), ("d", 86400, 14), ("w", 604800, 52)):
        if seconds // size < limit:
            return f"{seconds // size}{unit}"
    return f"{seconds // 31_557_600}y"


def iso(time_ms: int | None) -> str:
    """RFC 3339 in UTC, in seconds; empty for None and for times outside the calendar."""
    if time_ms is None:
        return ""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_ms // 1000))
    except (OverflowError, ValueError, OSError):  # a file may hold any number
        return ""


def local(time_ms: int | None) -> str:
    """Date and time where the person is, in minutes; empty where :func:`iso` is."""
    if time_ms is None:
        return ""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(time_ms // 1000))
    except (OverflowError, ValueError, OSError):
        return ""


def duration(seconds: float) -> str:
    """How long something takes, in its largest unit: ``40 s``, ``3 min``, ``2 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"


def amount(number: int) -> str:
    """A number in about three digits: ``950``, ``6.3k``, ``1.2M``."""
    for unit, size in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 1000)):
        if number >= size:
            value = number / size if number < _LARGEST_FLOAT else math.inf
            return f"{value:.0f}{unit}" if value >= 100 else f"{value:.1f}{unit}"
    return str(number)


_LARGEST_FLOAT: Final = 10**300
"""Floats end there."""


def money(cost: float | None, unpriced: int = 0, *, exact: bool = False) -> str:
    """USD: ``$1,234``, ``$12.34``, ``$0.0123``; as ``exact`` ``1234.000000``. A dash (exact:
    nothing) where no price is known; ``≥$0.02`` where some tokens are ``unpriced``."""
    if cost is None:
        return "" if exact else "—"
    at_least = "≥" if unpriced else ""
    if exact:
        return f"{at_least}{cost:.6f}"
    if cost >= 1000:
        return f"{at_least}${cost:,.0f}"
    small = 0 < cost < 0.1
    return at_least + (f"${max(cost, 0.0001):.4f}" if small else f"${cost:.2f}")


def plural(count: int, noun: str) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def filled(template: str, values: Mapping[str, str]) -> str:
    """``template`` with the values of its ``{places}``. Raises KeyError with one that does not
    exist or has no end."""
    known = {f"{{{name}}}": value for name, value in values.items()}
    return re.sub(_PLACE, lambda found: known[found[0]], template)


_PLACE: Final = r"\{[^{}]*\}|[{}].*"
