"""Which columns of statistics a terminal has room for. Numbers are never cut."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from cli.terminal.table import gap_of

_LEAST_BAR: Final = 8
_WIDEST_NAME: Final = 40
_FAIR_NAMES: Final = (24, 16)
"""How wide one name, or each of two, may be without being worth less than a number."""
_LEAST_WORTH: Final = (
    *("reasoning", "responses", "threads", "cached", "input", "output", "turns"),
    *("cost before", "before", "cost change", "change"),
)
"""The numbers that go first, if all cannot stay."""


class Layout(NamedTuple):
    """What is shown."""

    gap: int
    """Between columns."""
    names: list[int]
    """The widths of the names."""
    numbers: list[int]
    """The places of the numbers that are shown."""
    bar: int
    """The width of the bars; 0 for none."""


def layout(names: Sequence[int], heads: Sequence[str], numbers: Sequence[int], room: int) -> Layout:
    """What fits into ``room`` columns: of names and numbers so wide, and bars. First the bars go,
    then the numbers that are worth least, then the names shrink; cost and total stay."""
    gap = gap_of(room)
    wished = [min(width, _WIDEST_NAME) for width in names]
    fair = sum(min(width, _FAIR_NAMES[len(names) - 1]) for width in names)
    titles = told_apart(heads)
    kept = [*range(len(titles))]
    for head in ("", *_LEAST_WORTH):
        kept = [place for place in kept if titles[place] != head]
        left = room - sum(numbers[place] + gap for place in kept) - gap * (len(names) - 1)
        if left >= fair:
            break
    if len(kept) == len(titles) and left - gap - _LEAST_BAR >= fair:
        widths = _shrunk(wished, left - gap - _LEAST_BAR)
        return Layout(gap, widths, kept, left - gap - sum(widths))
    return Layout(gap, _shrunk(wished, left), kept, 0)


def told_apart(heads: Sequence[str]) -> list[str]:
    """The heads, with those that come again after ``cost`` named for it."""
    cost = heads.index("cost")
    return [f"cost {head}" if place > cost else head for place, head in enumerate(heads)]


def _shrunk(widths: Sequence[int], room: int) -> list[int]:
    """Widths that fit into ``room``, if they can: the widest ones shrink."""
    found = [*widths]
    while sum(found) > room and max(found) > 1:
        found[found.index(max(found))] -= 1
    return found
