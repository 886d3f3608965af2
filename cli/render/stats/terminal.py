"""Statistics of token use as a table for a terminal, with bars."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.bar import Bar
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from cli.render.stats.columns import layout
from cli.render.stats.table import NO_KEY, Row, cells, heads, places, rows
from cli.terminal import output
from cli.terminal.text import amount, one_line

if TYPE_CHECKING:
    from state.reports.stats import Statistics


def print_table(
    found: "Statistics", by: Sequence[str], limit: int, names: Mapping[str, str]
) -> None:
    """For a terminal."""
    every = heads(found)
    kept = places(by, every)
    titles = [every[place] for place in kept]
    with_turns = found.total.turns is not None
    listed = [*rows(found.groups, by, limit, names, sums=True)]
    texts: list[tuple[list[str], list[str]]] = []
    for row in listed:
        keys = [one_line(name) for name in row.names]
        numbers = cells(row.group.tally, row.group.before, amount, with_turns=with_turns)
        texts.append((keys if any(keys) else [NO_KEY], [numbers[place] for place in kept]))
    fit = layout(
        _widths([by, *(keys for keys, _ in texts)]),
        titles,
        _widths([titles, *(numbers for _, numbers in texts)]),
        output.width(),
    )
    table = Table(box=None, pad_edge=False, padding=(0, fit.gap, 0, 0), header_style="dim")
    for dimension, width in zip(by, fit.names, strict=True):
        table.add_column(dimension, no_wrap=True, overflow="ellipsis", width=width)
    for place in fit.numbers:
        table.add_column(titles[place], justify="right", no_wrap=True)
    if fit.bar:
        table.add_column("", width=fit.bar)
    most = max((row.group.tally.total for row in listed), default=0) or 1
    for row, (keys, numbers) in zip(listed, texts, strict=True):
        shortened = [
            _from_the_end(key, width) if dimension == "project" else key
            for dimension, key, width in zip(by, keys, fit.names, strict=True)
        ]
        line = [Text(name) for name in shortened] + [Text(numbers[place]) for place in fit.numbers]
        style = "bold" if row.outer and len(by) > 1 else ""
        table.add_row(*line, *([_bar(row, most, fit.bar)] if fit.bar else []), style=style)
    output.table(table)


def _from_the_end(folder: str, width: int) -> str:
    """The end of a folder that is too wide, by which it is told from others."""
    if cell_len(folder) <= width:
        return folder
    while folder and cell_len(folder) >= width:
        folder = folder[1:]
    return f"…{folder}"


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    """How wide the cells of each column are at most."""
    return [max(map(cell_len, column)) for column in zip(*lines, strict=True)]


def _bar(row: Row, most: int, width: int) -> Bar | Text:
    """A bar; of number signs where the terminal has no blocks."""
    colour = "cyan" if row.outer else "blue"
    if output.has_blocks():
        return Bar(most, 0, row.group.tally.total, color=colour)
    return Text("#" * round(width * row.group.tally.total / most), style=colour)
