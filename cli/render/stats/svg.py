"""Charts as SVG: columns, and the hours of a week. Without scripts; each mark has its
numbers as a title, which browsers show under the pointer.

Places from left to right are in percent, so a chart fits every width and its letters keep their
size. The numbers of the axis stand left of the chart, in its margin."""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Final, NamedTuple

from cli.terminal.text import one_line

_TOP: Final = 10
_HEIGHT: Final = 220
_BOTTOM: Final = 24
_LABELS: Final = 10
_EDGE: Final = 3.0
_WIDEST: Final = 6.0
"""Percent of the chart."""
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY_H: Final = 24

COLOURS: Final = 8
"""As many as the style sheet has; the last is for what has none of its own."""


Axis = Callable[[float], Sequence[str]]
"""Gives none, a quarter, a half, three quarters and all of a number, in one form."""


def axis_of_amounts(most: float) -> list[str]:
    """Such numbers of tokens: ``0``, ``0.5M``, ``1.0M``, …"""
    sizes = (("G", 1e9), ("M", 1e6), ("k", 1e3))
    unit, size = next(((u, s) for u, s in sizes if most >= s), ("", 1.0))
    return [f"{number}{unit}" if quarter else "0" for quarter, number in _quarters(most / size)]


def axis_of_money(most: float) -> list[str]:
    """Such sums in USD: ``$0``, ``$0.25``, ``$0.50``, …"""
    return [f"${number}" if quarter else "$0" for quarter, number in _quarters(most, 2)]


def _quarters(most: float, least: int = 1) -> list[tuple[int, str]]:
    """The quarters, without decimals or with as few as all need, at least so many."""
    numbers = [most * quarter / 4 for quarter in range(5)]
    decimals = next(
        (n for n in range(12) if all(math.isclose(round(x, n), x) for x in numbers)), 12
    )
    decimals = max(decimals, least) if decimals else 0
    return [(quarter, f"{number:,.{decimals}f}") for quarter, number in enumerate(numbers)]


class Part(NamedTuple):
    """A part of a column, with its colour."""

    value: float
    colour: int


class Column(NamedTuple):
    """A column of a chart."""

    name: str
    parts: Sequence[Part]
    title: str

    @property
    def value(self) -> float:
        """All of it."""
        return sum(part.value for part in self.parts)


def columns(shown: Sequence[Column], label: str, unit: Axis) -> str:
    """A chart with a column for each of ``shown``; ``unit`` gives the numbers at its side."""
    most = _round_up(max((column.value for column in shown), default=0))
    step = 100 / max(len(shown), 1)
    wide = min(step * 0.8, _WIDEST)
    pieces = [*_frame(shown, most, unit)]
    for place, column in enumerate(shown):
        left = place * step + (step - wide) / 2
        bottom = float(_TOP + _HEIGHT)
        for part in column.parts:
            height = _HEIGHT * part.value / most
            bottom -= height
            pieces.append(
                f'<rect x="{left:.2f}%" y="{bottom:.1f}" width="{wide:.2f}%" height="{height:.1f}"'
                f' fill="var(--c{part.colour})" />'
            )
        pieces.append(_hit(place, step, column.title))
    return _svg(label, pieces)


def week(hours: Sequence[float], titles: Sequence[str], label: str) -> str:
    """The 168 hours of a week, darker where there is more."""
    most = max(hours, default=0) or 1
    wide, high = 100 / _DAY_H, 20
    pieces = []
    for day, name in enumerate(WEEKDAYS):
        middle = _TOP + day * high + 14
        pieces.append(f'<text x="-8" y="{middle}" text-anchor="end">{name}</text>')
    for hour, value in enumerate(hours):
        left = hour % _DAY_H * wide
        top = _TOP + hour // _DAY_H * high
        strength = 0.06 + 0.94 * (value / most) ** 0.6 if value else 0.04
        pieces.append(
            f'<rect x="{left:.2f}%" y="{top}" width="{wide * 0.93:.2f}%"'
            f' height="{high - 2}" rx="3" fill="var(--c0)" opacity="{strength:.2f}">'
            f"<title>{_text(titles[hour])}</title></rect>"
        )
    bottom = _TOP + 7 * high
    for hour in range(0, _DAY_H, 3):
        left = (hour + 0.5) * wide
        pieces.append(f'<text x="{left:.2f}%" y="{bottom + 14}" text-anchor="middle">{hour}</text>')
    return _svg(label, pieces, height=bottom + 20)


def _frame(shown: Sequence[Column], most: float, unit: Axis) -> list[str]:
    """Lines across, with their numbers, and the names of some columns."""
    pieces = []
    for quarter, number in enumerate(unit(most)):
        height = _TOP + _HEIGHT * (1 - quarter / 4)
        pieces.append(
            f'<line class="grid" x1="0" y1="{height}" x2="100%" y2="{height}" />'
            f'<text x="-8" y="{height + 4}" text-anchor="end">{_text(number)}</text>'
        )
    step = 100 / max(len(shown), 1)
    every = -(-len(shown) // _LABELS) or 1
    for place in range(0, len(shown), every):
        middle = (place + 0.5) * step
        anchor = "end" if middle > 100 - _EDGE else "middle"
        fine = ' class="fine"' if place // every % 3 else ""
        pieces.append(
            f'<text{fine} x="{middle:.2f}%" y="{_TOP + _HEIGHT + 16}" text-anchor="{anchor}">'
            f"{_text(shown[place].name)}</text>"
        )
    return pieces


def share(part: float, title: str) -> str:
    """A bar as long as ``part``, of 1, of what it stands in."""
    return (
        f'<svg role="img" aria-label="{_text(title)}"><title>{_text(title)}</title>'
        f'<rect width="{max(100 * part, 1):.1f}%" height="100%" rx="3" fill="var(--c0)" /></svg>'
    )


def swatch(colour: int) -> str:
    """A square of a colour, for a legend."""
    square = f'<rect width="100%" height="100%" rx="3" fill="var(--c{colour})" />'
    return f'<svg aria-hidden="true">{square}</svg>'


def _hit(place: int, step: float, title: str) -> str:
    """A field of the whole height that shows the numbers."""
    return (
        f'<rect class="hit" x="{place * step:.2f}%" y="{_TOP}" width="{step:.2f}%"'
        f' height="{_HEIGHT}"><title>{_text(title)}</title></rect>'
    )


def _svg(label: str, pieces: Sequence[str], height: int = _TOP + _HEIGHT + _BOTTOM) -> str:
    inner = "\n".join(pieces)
    return (
        f'<svg class="chart" height="{height}" role="img" aria-label="{_text(label)}">\n'
        f"{inner}\n</svg>\n"
    )


def _text(text: str) -> str:
    return escape("\n".join(one_line(each) for each in text.split("\n")))


def _round_up(most: float) -> float:
    """The next number that a quarter of is easy to read."""
    if most <= 0:
        return 1
    size = 1.0
    while size * 10 <= most:
        size *= 10
    while size > most:
        size /= 10
    return next(size * times for times in (1, 2, 4, 6, 8, 10) if size * times >= most)
