"""Statistics of token use as a table: its rows and cells, and the table for pipes, with whole
numbers and one row a line."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from cli.terminal import output
from cli.terminal.text import money, one_line, plural
from state.reports.calendar import HOUR_S, TIMES

if TYPE_CHECKING:
    from state.reports.calendar import Calendar
    from state.reports.groups import Group, Tally
    from state.reports.stats import Asked, Span, Statistics

Number = Callable[[int], str]
_COUNTS: Final = {
    "responses": "responses",
    "input": "input",
    "cached": "cached_input",
    "output": "output",
    "reasoning": "reasoning",
    "total": "total",
}
NO_KEY: Final = "(none)"


class Row(NamedTuple):
    """A line of the table: a group of the first dimension, of the second, or of both."""

    names: tuple[str, ...]
    """One for each dimension; empty for all of the second one."""
    group: "Group"
    outer: bool
    """Whether it adds up to the total with the others that do."""
    keys: tuple[str, ...]
    """What the names stand for; empty where a name is."""


def shown(groups: "Sequence[Group]", by: Sequence[str], limit: int) -> "Sequence[Group]":
    """The latest groups of times, the first of others."""
    return groups[-limit:] if by[0] in TIMES else groups[:limit]


def rows(
    groups: "Sequence[Group]",
    by: Sequence[str],
    limit: int,
    names: Mapping[str, str],
    *,
    sums: bool,
) -> Iterator[Row]:
    """The rows of a table. ``sums`` gives a group with several inner ones a row of its own;
    ``names`` are those of keys that are for machines."""
    for group in shown(groups, by, limit):
        name = names.get(group.key, group.key)
        if len(by) == 1:
            yield Row((name,), group, True, (group.key,))
            continue
        inner = shown(group.groups, by[1:], limit)
        several = sums and len(group.groups) > 1
        if several:
            yield Row((name, ""), group, True, (group.key, ""))
        for other in inner:
            second = names.get(other.key, other.key) or NO_KEY
            first = ("", "") if several else (name, group.key)
            yield Row((first[0], second), other, not several, (first[1], other.key))


def rest(
    found: "Statistics",
    by: Sequence[str],
    limit: int,
    how: str = " Use --limit N to see more.",
) -> str:
    """How many groups are not shown, and ``how`` to see them; empty if none."""
    words = []
    if (more := found.count - limit) > 0:
        words.append(_count(more, by[0]))
    if len(by) > 1:
        above = shown(found.groups, by, limit)
        more = sum(max(len(group.groups) - limit, 0) for group in above)
        if more:
            words.append(f"{_count(more, by[1])} of the {_plural(by[0])} above")
    return f"Not shown: {' and '.join(words)}.{how}" if words else ""


def _count(count: int, dimension: str) -> str:
    return f"{count:,} {dimension if count == 1 else _plural(dimension)}"


def _plural(dimension: str) -> str:
    return f"{dimension}es" if dimension == "branch" else f"{dimension}s"


def summary(found: "Statistics", number: Number) -> str:
    """The total in one line."""
    total = found.total
    words = [plural(total.threads, "thread"), plural(total.responses, "response")]
    if total.turns is not None:
        words.insert(1, plural(total.turns, "turn"))
    tokens = (
        f"{number(total.total)} tokens ({number(total.input)} in, {number(total.cached_input)}"
        f" cached; {number(total.output)} out, {number(total.reasoning)} reasoning)"
    )
    return ", ".join([*words, tokens, money(total.spent, total.unpriced)])


def span_text(span: "Span", calendar: "Calendar") -> str:
    """The hours that limit a span, on the clock."""
    return ", ".join(
        f"{word} {calendar.clock(hour * HOUR_S):%Y-%m-%d %H:%M}"
        for word, hour in (("since", span.since), ("until", span.until))
        if hour is not None
    )


def before(found: "Statistics", asked: "Asked", zone: str, number: Number) -> str:
    """The span that was compared with, and its total; empty if none was."""
    if found.before is None or asked.before is None:
        return ""
    words = [
        f"{number(found.before.total)} tokens ({change(found.total.total, found.before.total)})",
        f"{money(found.before.spent, found.before.unpriced)}"
        f" ({change(found.total.spent, found.before.spent)})",
    ]
    span = span_text(asked.before[0], asked.calendar)
    return f"before ({span}, {zone}): {', '.join(words)}".replace(" ()", "")


def heads(found: "Statistics") -> list[str]:
    """The heads of the numbers of :func:`cells`."""
    if found.before:
        return ["total", "before", "change", "cost", "before", "change"]
    turns = ["turns"] if found.total.turns is not None else []
    return ["threads", *turns, *_COUNTS, "cost"]


def places(by: Sequence[str], titles: Sequence[str]) -> list[int]:
    """The places of the numbers that say something: not how many threads a thread is."""
    return [n for n, title in enumerate(titles) if (title, by[0]) != ("threads", "thread")]


def whole(number: int) -> str:
    """A number with all its digits."""
    return f"{number:,}"


def cells(tally: "Tally", before: "Tally | None", number: Number, *, with_turns: bool) -> list[str]:
    """The numbers of a row, under their heads."""
    if before is not None:
        tokens = [number(tally.total), number(before.total), change(tally.total, before.total)]
        costs = [money(each.spent, each.unpriced) for each in (tally, before)]
        return [*tokens, *costs, change(tally.spent, before.spent)]
    turns = [whole(tally.turns or 0)] if with_turns else []
    counts = [number(getattr(tally, name)) for name in _COUNTS.values()]
    return [whole(tally.threads), *turns, *counts, money(tally.spent, tally.unpriced)]


def change(now: float | None, before: float | None) -> str:
    """How much more that is, in percent."""
    if not before:
        return "new" if now else ""
    return f"{100 * ((now or 0) - before) / before:+,.0f}%"


def print_lines(
    found: "Statistics", by: Sequence[str], limit: int, names: Mapping[str, str]
) -> None:
    """For pipes."""
    with_turns = found.total.turns is not None
    titles = heads(found)
    kept = places(by, titles)
    table = [[*by, *(titles[place] for place in kept)]]
    for row in rows(found.groups, by, limit, names, sums=False):
        shown = [one_line(name) or NO_KEY for name in row.names]
        tally, before = row.group.tally, row.group.before
        numbers = cells(tally, before, whole, with_turns=with_turns)
        table.append([*shown, *(numbers[place] for place in kept)])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        texts = [
            cell.ljust(width) if place < len(by) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        output.line("  ".join(texts).rstrip())
