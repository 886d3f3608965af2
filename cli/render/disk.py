"""Disk usage for people: a table for each way to count, and the biggest threads."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from cli.render.labels import folder
from cli.render.threads import title
from cli.terminal import output
from cli.terminal.cells import cut, cut_folder
from cli.terminal.table import Cell, Column, table
from cli.terminal.text import age, amount, money, plural

if TYPE_CHECKING:
    from state.reports.disk import Amount, DiskUsage

_HEADS: Final = {"age": "last change"}
_AGES: Final = {
    "day": "within a day",
    "week": "within a week",
    "month": "within a month",
    "quarter": "1 to 3 months ago",
    "year": "3 to 12 months ago",
    "older": "over a year ago",
}
_ANY_WIDTH: Final = 10_000


@dataclass(frozen=True, slots=True)
class DiskTables:
    """The tables of what was found."""

    found: "DiskUsage"
    short_ids: Mapping[str, str]
    limit: int
    """Rows of each table."""
    images: bool
    cost: bool

    def summary(self) -> Iterator[str]:
        """The totals."""
        total = self.found.total
        threads = plural(self.found.threads, "thread")
        archived = self.found.by["place"].get("archived")
        more = f", {_size(archived.bytes)} of it archived" if archived else ""
        yield f"{_size(total.bytes)} in {plural(total.files, 'file')} of {threads}{more}"
        if self.found.images:
            content = self.found.images.content_bytes
            share = percent(total.image_bytes, content)
            images = f"{share} of it images ({_size(total.image_bytes)})"
            yield f"{_size(content)} of content, {images}"
        if self.cost:
            cost = money(total.spent.cost, total.spent.unpriced_tokens)
            yield f"{cost} for tokens, at API prices"

    def groups(self, dimension: str) -> Iterator[str]:
        """The table of a dimension: ages in their order, others by size, the rest in one row."""
        groups, limit = self.found.by[dimension], self.limit
        if dimension == "age":
            groups, limit = {key: groups[key] for key in _AGES if key in groups}, len(_AGES)
        home = os.path.expanduser("~") if output.on_terminal() else ""
        rows: list[list[Cell]] = []
        for key, used in islice(groups.items(), limit):
            name = _AGES[key] if dimension == "age" else folder(key or "(none)", home or "\0")
            rows.append([*self._numbers(used), Cell(name)])
        if rest := rest_of(groups, limit):
            more = f"… {len(groups) - limit:,} more"
            rows.append([*self._numbers(rest), Cell(more, "dim")])
        is_folder = dimension == "project"
        last = Column(
            _HEADS.get(dimension, dimension), grows=True, cut=cut_folder if is_folder else cut
        )
        return _table([*self._columns(), last], rows)

    def biggest(self) -> Iterator[str]:
        """The table of the biggest threads."""
        home, now_ms = os.path.expanduser("~"), time.time_ns() // 1_000_000
        columns = [
            *self._columns(),
            Column("age", worth=9),
            Column("biggest threads", grows=True),
            Column("folder", 10, 26, worth=4, drops_same=True, cut=cut_folder),
            Column("id", worth=8),
        ]
        rows = [
            [
                *self._numbers(thread.amount),
                Cell(age(thread.row["recency_at_ms"], now_ms)),
                title(thread.row),
                Cell(folder(thread.row["cwd"], home)),
                Cell(self.short_ids.get(thread.row["id"], thread.row["id"]), "cyan"),
            ]
            for thread in self.found.biggest
        ]
        return _table(columns, rows)

    def _columns(self) -> list[Column]:
        wanted = ("size", "share", "files", *["images"] * self.images, *["cost"] * self.cost)
        worth = {"size": 10, "cost": 7, "images": 7, "share": 6, "files": 5}
        return [Column(f"{name:>7}", worth=worth[name], right=True) for name in wanted]

    def _numbers(self, used: "Amount") -> list[Cell]:
        texts = [_size(used.bytes), percent(used.bytes, self.found.total.bytes), f"{used.files:,}"]
        if self.images:
            texts.append(_size(used.image_bytes))
        if self.cost:
            texts.append(money(used.spent.cost, used.spent.unpriced_tokens))
        return [Cell(text) for text in texts]


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Iterator[str]:
    return table(columns, rows, room=None if output.on_terminal() else _ANY_WIDTH)


def _size(count: int) -> str:
    return f"{amount(count)}B"


def percent(part: int, whole: int) -> str:
    """A share."""
    return f"{100 * part / whole:.1f}%" if whole else "0.0%"


def rest_of(groups: "Mapping[str, Amount]", limit: int) -> "Amount | None":
    """The sum of the groups after the first ones; None if there are none."""
    from state.reports.disk import Amount

    if len(groups) <= limit:
        return None
    rest = Amount()
    for used in islice(groups.values(), limit, None):
        rest.add(used.files, used.bytes, used.image_bytes, used.spent)
    return rest
