"""Charts as SVG: columns, a line, and the hours of a week. Without scripts; each mark has its
numbers as a title, which browsers show under the pointer."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Final, NamedTuple

from cli.terminal.text import one_line

_WIDTH: Final = 960
_LEFT: Final = 64
_TOP: Final = 10
_HEIGHT: Final = 220
_BOTTOM: Final = 24
_PLOT: Final = _WIDTH - _LEFT - 8
_LABELS: Final = 10
_WIDEST: Final = 56
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY_H: Final = 24

STYLE: Final = """\
:root { --c0: #2563eb; --c1: #f59e0b; --c2: #10b981; --c3: #ec4899; --c4: #8b5cf6; --c5: #06b6d4;
  --c6: #84cc16; --c7: #94a3b8; --grid: #8883; }
@media (prefers-color-scheme: dark) { :root { --c0: #60a5fa; --c1: #fbbf24; --c2: #34d399;
  --c3: #f472b6; --c4: #a78bfa; --c5: #22d3ee; --c6: #a3e635; --c7: #64748b; } }
svg { width: 100%; height: auto; display: block; margin: .25rem 0 .5rem; }
svg text { font: 11px system-ui, sans-serif; fill: var(--dim); }
svg .grid { stroke: var(--grid); stroke-width: 1; }
svg .line { fill: none; stroke: var(--c0); stroke-width: 2; stroke-linejoin: round; }
svg .area { fill: var(--c0); opacity: .12; } svg .dot { fill: var(--c0); }
svg .hit { fill: transparent; } svg .hit:hover { fill: var(--grid); }
svg .cell { fill: var(--c0); }
"""
"""The last colour is for what has none of its own."""
COLOURS: Final = 8


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


def columns(shown: Sequence[Column], label: str, unit: Callable[[float], str]) -> str:
    """A chart with a column for each of ``shown``; ``unit`` words the numbers at its side."""
    most = _round_up(max((column.value for column in shown), default=0))
    step = _PLOT / max(len(shown), 1)
    wide = min(max(step * 0.8, step - 4, 0.5), _WIDEST)
    pieces = [*_frame(shown, most, unit)]
    for place, column in enumerate(shown):
        left = _LEFT + place * step + (step - wide) / 2
        bottom = float(_TOP + _HEIGHT)
        for part in column.parts:
            height = _HEIGHT * part.value / most
            bottom -= height
            pieces.append(
                f'<rect x="{left:.1f}" y="{bottom:.1f}" width="{wide:.1f}" height="{height:.1f}"'
                f' fill="var(--c{part.colour})" />'
            )
        pieces.append(_hit(place, step, column.title))
    return _svg(label, pieces)


def line(shown: Sequence[Column], label: str, unit: Callable[[float], str]) -> str:
    """A chart with a line through the tops of ``shown``."""
    most = _round_up(max((column.value for column in shown), default=0))
    step = _PLOT / max(len(shown), 1)
    points = [
        (_LEFT + (place + 0.5) * step, _TOP + _HEIGHT * (1 - column.value / most))
        for place, column in enumerate(shown)
    ]
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    pieces = [*_frame(shown, most, unit)]
    if points:
        floor = _TOP + _HEIGHT
        area = f"{points[0][0]:.1f},{floor} {way} {points[-1][0]:.1f},{floor}"
        pieces.append(f'<polygon class="area" points="{area}" />')
        pieces.append(f'<polyline class="line" points="{way}" />')
    if len(points) <= 62:
        pieces += [f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5" />' for x, y in points]
    pieces += [_hit(place, step, column.title) for place, column in enumerate(shown)]
    return _svg(label, pieces)


def week(hours: Sequence[float], titles: Sequence[str], label: str) -> str:
    """The 168 hours of a week, darker where there is more."""
    most = max(hours, default=0) or 1
    wide, high = _PLOT / _DAY_H, 20
    pieces = []
    for day, name in enumerate(WEEKDAYS):
        middle = _TOP + day * high + 14
        pieces.append(f'<text x="{_LEFT - 8}" y="{middle}" text-anchor="end">{name}</text>')
    for hour, value in enumerate(hours):
        left = _LEFT + hour % _DAY_H * wide
        top = _TOP + hour // _DAY_H * high
        strength = 0.06 + 0.94 * (value / most) ** 0.6 if value else 0.04
        pieces.append(
            f'<rect class="cell" x="{left:.1f}" y="{top}" width="{wide - 2:.1f}"'
            f' height="{high - 2}" rx="3" opacity="{strength:.2f}">'
            f"<title>{_text(titles[hour])}</title></rect>"
        )
    bottom = _TOP + 7 * high
    for hour in range(0, _DAY_H, 3):
        left = _LEFT + (hour + 0.5) * wide
        pieces.append(f'<text x="{left:.1f}" y="{bottom + 14}" text-anchor="middle">{hour}</text>')
    return _svg(label, pieces, height=bottom + 20)


def _frame(shown: Sequence[Column], most: float, unit: Callable[[float], str]) -> list[str]:
    """Lines across, with their numbers, and the names of some columns."""
    pieces = []
    for quarter in range(5):
        height = _TOP + _HEIGHT * (1 - quarter / 4)
        pieces.append(
            f'<line class="grid" x1="{_LEFT}" y1="{height}" x2="{_LEFT + _PLOT}" y2="{height}" />'
            f'<text x="{_LEFT - 8}" y="{height + 4}" text-anchor="end">'
            f"{_text(unit(most * quarter / 4))}</text>"
        )
    step = _PLOT / max(len(shown), 1)
    every = -(-len(shown) // _LABELS) or 1
    for place in range(0, len(shown), every):
        middle = _LEFT + (place + 0.5) * step
        pieces.append(
            f'<text x="{middle:.1f}" y="{_TOP + _HEIGHT + 16}" text-anchor="middle">'
            f"{_text(shown[place].name)}</text>"
        )
    return pieces


def _hit(place: int, step: float, title: str) -> str:
    """A field of the whole height that shows the numbers."""
    return (
        f'<rect class="hit" x="{_LEFT + place * step:.1f}" y="{_TOP}" width="{step:.1f}"'
        f' height="{_HEIGHT}"><title>{_text(title)}</title></rect>'
    )


def _svg(label: str, pieces: Sequence[str], height: int = _TOP + _HEIGHT + _BOTTOM) -> str:
    inner = "\n".join(pieces)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{_text(label)}">\n'
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
