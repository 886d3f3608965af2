"""The one table for people: it fits the width of the terminal.

The column that grows, a title or a name, has at least half of the line, unless it says how much it
needs. Others are shown by their worth, as many as have room; a column that only repeats itself can
be left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from cli.terminal import output
from cli.terminal.cells import cells, cut
from cli.terminal.style import Painter, painter

_CRAMPED: Final = 50
"""Narrower terminals get one blank between columns, others two."""
_LEAST_TITLE: Final = 8
"""Of the column that grows, where columns are shown that have no room."""

_LEAST_CUT: Final = 3
"""No value is cut to less."""


class Cell(NamedTuple):
    """A value on one line, safe for a terminal (:func:`cli.terminal.cells.settled`), and how it
    looks."""

    text: str
    style: str = ""
    tail: str = ""
    """What follows it, dim. It keeps up to a third of the column where there is no room for all."""

    @property
    def width(self) -> int:
        """How many cells it takes."""
        return cells(self.text) + cells(self.tail)

    def drawn(self, column: "Column", width: int, paint: Painter) -> tuple[str, int]:
        """The value in at most so many cells, painted, and how many it takes; empty if it is."""
        tail = self.tail
        if tail and self.width > width:
            tail = cut(tail, width // 3) if width // 3 > _LEAST_CUT else ""
        text = column.cut(self.text, width - cells(tail))
        drawn = (paint(text, self.style) if text else "") + (paint(tail, "dim") if tail else "")
        return drawn, cells(text) + cells(tail)


class Column(NamedTuple):
    """A column and what it may lose."""

    head: str
    least: int = 0
    """The fewest cells that say something; 0: its values are never cut, and the column that grows
    has half of the line."""
    most: int = 0
    """The most cells that it takes; 0: as many as its values."""
    worth: int = 0
    """Columns with less of it go first where there is no room for all."""
    right: bool = False
    grows: bool = False
    """Whether it gets the room that is left; for one column at most."""
    drops_same: bool = False
    """Whether it is left out where no row has a value, or all of several have the same."""
    cut: Callable[[str, int], str] = cut


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    room: int | None = None,
    keep_all: bool = False,
) -> Iterator[str]:
    """The lines of a table, the first with the heads, for a terminal of ``room`` cells; by default
    for this one. ``keep_all`` shows every column, however narrow."""
    natural = [
        max([cells(column.head), *(row[place].width for row in rows)])
        for place, column in enumerate(columns)
    ]
    shown = [
        place
        for place, column in enumerate(columns)
        if keep_all or not (column.drops_same and _says_nothing([row[place].text for row in rows]))
    ]
    room = output.width() if room is None else room
    gap = gap_of(room)
    widths = layout(columns, natural, shown, room, gap, keep_all=keep_all)
    return drawn(columns, rows, widths, gap)


def gap_of(room: int) -> int:
    """The blanks between columns."""
    return 1 if room < _CRAMPED else 2


def drawn(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    widths: Mapping[int, int],
    gap: int,
) -> Iterator[str]:
    """The lines of a table of the columns that ``widths`` has, by their places."""
    paint = painter()
    heads = [Cell(column.head, "dim") for column in columns]
    for row in (heads, *rows):
        line, blanks = "", 0
        for place, width in widths.items():
            column = columns[place]
            text, taken = row[place].drawn(column, width, paint)
            padding = width - taken
            before, after = (padding, 0) if column.right else (0, padding)
            if text:
                line += f"{' ' * (blanks + before)}{text}"
                blanks = after + gap
            else:
                blanks += width + gap
        yield line


def _says_nothing(values: Sequence[str]) -> bool:
    return not any(values) or (len(values) > 1 and len(set(values)) == 1)


def layout(
    columns: Sequence[Column],
    natural: Sequence[int],
    shown: Sequence[int],
    room: int,
    gap: int,
    *,
    keep_all: bool = False,
) -> dict[int, int]:
    """How wide which columns are, by their places: of those ``shown``, whose values take as many
    cells as ``natural`` has, with ``gap`` blanks between them."""
    least = {place: min(natural[place], columns[place].least or natural[place]) for place in shown}
    grows = next((place for place in shown if columns[place].grows), None)
    others = sorted(
        (place for place in shown if place != grows), key=lambda place: -columns[place].worth
    )
    widths: dict[int, int] = {}
    left = room + gap  # the first column has no gap before it
    half = (room + 1) // 2

    def widen(place: int, most: int) -> None:
        nonlocal left
        more = max(min(most - widths[place], left), 0)
        widths[place] += more
        left -= more

    if grows is not None:
        fewest = _LEAST_TITLE if keep_all else columns[grows].least or half
        widths[grows] = min(natural[grows], fewest)
        left -= widths[grows] + gap
    for place in others:
        if keep_all or least[place] + gap <= left:
            widths[place] = least[place]
            left -= least[place] + gap
    if grows is not None:
        widen(grows, min(natural[grows], half))
    for place in others:
        if place in widths:
            widen(place, min(natural[place], columns[place].most or natural[place]))
    if grows is not None:
        widen(grows, natural[grows])
    while left < 0:
        # Numbers and ids are never cut: if need be, the terminal wraps the line.
        cuttable = [n for n in widths if columns[n].least or columns[n].grows]
        widest = max(cuttable, key=lambda place: widths[place], default=None)
        if widest is None or widths[widest] <= _LEAST_CUT:
            break
        widths[widest] -= 1
        left += 1
    return {place: widths[place] for place in shown if place in widths}
