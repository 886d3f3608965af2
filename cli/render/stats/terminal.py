"""Statistics of token use as a table for a terminal, with bars."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cli.render.labels import folder
from cli.render.stats.columns import layout
from cli.render.stats.table import NO_KEY, Row, cells, heads, places, rows
from cli.terminal import output
from cli.terminal.cells import bar, cut, cut_folder, settled
from cli.terminal.cells import cells as width_of
from cli.terminal.table import Cell, Column, drawn
from cli.terminal.text import amount

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
    home = os.path.expanduser("~")
    listed = [*rows(found.groups, by, limit, names, sums=True)]
    texts: list[tuple[list[str], list[str]]] = []
    for row in listed:
        keys = [
            folder(name, home) if dimension == "project" else settled(name)
            for dimension, name in zip(by, row.names, strict=True)
        ]
        numbers = cells(row.group.tally, row.group.before, amount, with_turns=with_turns)
        texts.append((keys if any(keys) else [NO_KEY], [numbers[place] for place in kept]))
    name_widths = _widths([by, *(keys for keys, _ in texts)])
    number_widths = _widths([titles, *(numbers for _, numbers in texts)])
    fit = layout(name_widths, titles, number_widths, output.width())
    columns = [
        *(Column(name, cut=cut_folder if name == "project" else cut) for name in by),
        *(Column(titles[place], right=True) for place in fit.numbers),
        Column(""),
    ]
    most = max((row.group.tally.total for row in listed), default=0)
    blocks = output.has_blocks()
    lines: list[list[Cell]] = []
    for row, (keys, numbers) in zip(listed, texts, strict=True):
        style = "bold" if row.outer and len(by) > 1 else ""
        shown = [Cell(text, style) for text in (*keys, *(numbers[n] for n in fit.numbers))]
        lines.append([*shown, _bar(row, most, fit.bar, blocks=blocks)])
    widths = [*fit.names, *(number_widths[place] for place in fit.numbers)]
    widths += [fit.bar] * (fit.bar > 0)
    output.lines(drawn(columns, lines, dict(enumerate(widths)), fit.gap))


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    """How wide the cells of each column are at most."""
    return [max(map(width_of, column)) for column in zip(*lines, strict=True)]


def _bar(row: Row, most: int, width: int, *, blocks: bool) -> Cell:
    shown = bar(row.group.tally.total, most, width, blocks=blocks)
    return Cell(shown, "cyan" if row.outer else "blue")
