"""Statistics as HTML with charts: SVG and CSS that follow the reader's colours, without scripts.
Chart libraries bring their own colours, and scripts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

from cli.render.html.head import head, sheet
from cli.render.stats import svg
from cli.render.stats.table import NO_KEY, Row, cells, change, heads, places, rest, rows
from cli.terminal.text import amount, money, one_line, plural
from state.reports.calendar import TIMES

if TYPE_CHECKING:
    from state.reports.groups import Group
    from state.reports.stats import Statistics

_STYLE: Final = "body { max-width: 64rem; }\n"
_MOST_COLUMNS: Final = 1200


class Links(NamedTuple):
    """Where a page leads to that a server gives."""

    to: Callable[[str, str], str]
    """Gives the address of what a key of a dimension stands for; nothing if there is none."""
    more: str
    """The address of the page with more rows."""


class Table(NamedTuple):
    """A table of the page."""

    by: tuple[str, ...]
    statistics: "Statistics"
    names: Mapping[str, str]


class Report(NamedTuple):
    """What the page shows."""

    title: str
    facts: Sequence[str]
    """Of what time, in which time zone."""
    remarks: Sequence[str]
    """What else there is to know."""
    times: Table
    """By days, weeks or months, and models."""
    week: "Statistics"
    """By the hours of a week."""
    tables: Sequence[Table]


def page(report: Report, limit: int) -> Iterator[str]:
    """A page of its own, in pieces; ``limit`` is how many rows a table has."""
    title = _text(report.title)
    yield head(title, sheet("charts") + _STYLE)
    yield f'<h1>{title}</h1>\n<ul class="facts">\n'
    yield "".join(f"<li>{_text(fact)}</li>\n" for fact in report.facts) + "</ul>\n"
    yield from numbers(report, limit)
    yield "</body>\n</html>\n"


def numbers(report: Report, limit: int, links: Links | None = None) -> Iterator[str]:
    """What a page shows below its title and facts."""
    yield from _cards(report.tables[0].statistics)
    yield "".join(f'<p class="remark">{_text(each)}</p>\n' for each in report.remarks)
    if not report.tables[0].statistics.groups:
        yield "<p>No tokens were used in this time.</p>\n"
        return
    if report.times.statistics.groups:
        yield from _charts(report)
    for table in report.tables:
        yield from _table(table, limit, links)


def _cards(found: "Statistics") -> Iterator[str]:
    total, before = found.total, found.before
    cached = f", {_percent(total.cached_input, total.input)} cached" if total.input else ""
    facts = [
        (money(total.spent, total.unpriced), "cost at API prices"),
        (amount(total.total), "tokens"),
        (amount(total.input), f"input{cached}"),
        (amount(total.output), f"output, {amount(total.reasoning)} reasoning"),
        (f"{total.threads:,}", "threads"),
        (f"{total.responses:,}", "responses"),
    ]
    if total.turns is not None:
        facts.append((f"{total.turns:,}", "turns"))
    earlier = []
    if before:
        earlier = [
            (money(before.spent, before.unpriced), change(total.spent, before.spent)),
            (amount(before.total), change(total.total, before.total)),
            (amount(before.input), change(total.input, before.input)),
            (amount(before.output), change(total.output, before.output)),
            (f"{before.threads:,}", change(total.threads, before.threads)),
            (f"{before.responses:,}", change(total.responses, before.responses)),
        ]
    yield '<div class="cards">\n'
    for (value, name), (was, more) in zip_longest(facts, earlier, fillvalue=("", "")):
        compared = f"<span>before {was}{more and f' ({more})'}</span>" if was else ""
        yield f'<div class="card"><b>{value}</b><span>{escape(name)}</span>{compared}</div>\n'
    yield "</div>\n"


def _percent(part: int, whole: int) -> str:
    """In whole percent; what is little is not nothing."""
    return "<1%" if 0 < 100 * part < whole else f"{100 * part / whole:.0f}%"


def _charts(report: Report) -> Iterator[str]:
    dimension = report.times.by[0]
    groups = report.times.statistics.groups
    colours = _colours(groups)
    every = {group.key: group for group in groups}
    names = _every_name(dimension, [*every])[-_MOST_COLUMNS:]
    tokens, costs = [], []
    for name in names:
        group = every.get(name)
        tally = group.tally if group else None
        facts = [name]
        parts: dict[int, float] = {}
        for inner in group.groups if group else ():
            colour = colours.get(inner.key, svg.COLOURS - 1)
            parts[colour] = parts.get(colour, 0) + inner.tally.total
            spent = money(inner.tally.spent, inner.tally.unpriced)
            facts.append(f"{inner.key or NO_KEY}: {inner.tally.total:,} tokens, {spent}")
        stack = [svg.Part(value, colour) for colour, value in sorted(parts.items())]
        tokens.append(svg.Column(name, stack, "\n".join(facts)))
        cost = (tally.cost if tally else 0) or 0
        paid = money(tally.spent, tally.unpriced) if tally else money(0)
        costs.append(svg.Column(name, [svg.Part(cost, 0)], f"{name}: {paid}"))
    yield f"<section>\n<h2>tokens by {dimension}</h2>\n"
    told = _told("tokens", dimension, tokens, lambda most: amount(int(most)))
    yield svg.columns(tokens, told, svg.axis_of_amounts)
    yield from _legend(colours, groups)
    yield "</section>\n"
    if report.times.statistics.total.cost is not None:
        yield f"<section>\n<h2>cost by {dimension}</h2>\n"
        told = _told("cost", dimension, costs, money)
        yield svg.columns(costs, told, svg.axis_of_money) + "</section>\n"
    yield "<section>\n<h2>tokens by hour of the week</h2>\n"
    yield _week(report.week) + "</section>\n"


def _told(
    what: str, dimension: str, shown: Sequence[svg.Column], word: Callable[[float], str]
) -> str:
    """A chart in words, for who does not see it; the tables have all numbers."""
    most = max(shown, key=lambda column: column.value)
    return (
        f"{what} by {dimension}, {shown[0].name} to {shown[-1].name};"
        f" most on {most.name}: {word(most.value)}"
    )


def _colours(groups: "Sequence[Group]") -> dict[str, int]:
    """The colours of the models that were used most."""
    used: dict[str, int] = {}
    for group in groups:
        for inner in group.groups:
            used[inner.key] = used.get(inner.key, 0) + inner.tally.total
    order = sorted(filter(used.get, used), key=lambda key: (-used[key], key))
    return {key: colour for colour, key in enumerate(order[: svg.COLOURS - 1])}


def _legend(colours: Mapping[str, int], groups: "Sequence[Group]") -> Iterator[str]:
    used = {inner.key for group in groups for inner in group.groups if inner.tally.total}
    others = used - {*colours}
    yield '<ul class="legend">\n'
    for key, colour in colours.items():
        yield f"<li>{svg.swatch(colour)}{_text(key) or NO_KEY}</li>\n"
    if others:
        count = plural(len(others), "other")
        yield f"<li>{svg.swatch(svg.COLOURS - 1)}{count}</li>\n"
    yield "</ul>\n"


def _every_name(dimension: str, names: Sequence[str]) -> list[str]:
    """The names of all times from the first to the last, also of those without use."""
    try:
        here, last = date.fromisoformat(_day(names[0])), date.fromisoformat(_day(names[-1]))
    except ValueError:  # years that no calendar has
        return [*names]
    days = timedelta(days={"day": 1, "week": 7}.get(dimension, 32))
    found: list[str] = []
    while here <= last and len(found) <= _MOST_COLUMNS:
        found.append(here.isoformat()[: len(names[0])])
        if date.max - here < days:
            break
        here += days
        here = here.replace(day=1) if dimension == "month" else here
    return found if len(found) <= _MOST_COLUMNS else [*names]


def _day(name: str) -> str:
    return name if len(name) > len("2026-10") else f"{name}-01"


def _week(found: "Statistics") -> str:
    hours = [0.0] * 168
    titles = [""] * 168
    for group in found.groups:
        hours[int(group.key)] = group.tally.total
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    for hour, value in enumerate(hours):
        titles[hour] = f"{days[hour // 24]} {hour % 24}:00: {value:,.0f} tokens"
    most = max(range(168), key=hours.__getitem__)
    return svg.week(hours, titles, f"tokens by hour of the week; most on {titles[most]}")


def _table(table: Table, limit: int, links: Links | None) -> Iterator[str]:
    by, found = table.by, table.statistics
    section = "-".join(by)
    yield f'<section id="{section}">\n<h2 id="by-{section}">by {" and ".join(by)}</h2>\n'
    two = " two" if len(by) > 1 else ""
    yield f'<div class="wide"><table class="numbers{two}" aria-labelledby="by-{section}">\n'
    titles = heads(found)
    kept = places(by, titles)
    keys = "".join(f'<th scope="col">{each}</th>' for each in by)
    names = "".join(f'<th scope="col" class="number n-{titles[n]}">{titles[n]}</th>' for n in kept)
    yield f'<thead><tr>{keys}{names}<th scope="col" class="share">tokens</th></tr></thead>\n'
    yield "<tbody>\n"
    shown = [*rows(found.groups, by, limit, table.names, sums=True)]
    most = max((row.group.tally.total for row in shown), default=0) or 1
    for row in shown:
        tally = row.group.tally
        values = cells(tally, row.group.before, amount, with_turns=found.total.turns is not None)
        cell = "".join(f'<td class="number n-{titles[n]}">{values[n]}</td>' for n in kept)
        share = f"{100 * tally.total / (found.total.total or 1):.1f}% of all tokens"
        mark = ' class="sum"' if row.outer and len(by) > 1 else ""
        yield f"<tr{mark}>{_keys(row, by, links)}{cell}"
        yield f'<td class="share">{svg.share(tally.total / most, share)}</td></tr>\n'
    yield "</tbody>\n</table></div>\n"
    if links is None:
        more = rest(found, by, limit)
    elif more := rest(found, by, limit, ""):
        more = f'{more} <a href="{escape(links.more)}#{section}">Show more</a>'
    yield f'<p class="name">{more}</p>\n' if more else ""
    yield "</section>\n"


def _keys(row: Row, by: Sequence[str], links: Links | None) -> str:
    """The cells that say what a row is about."""
    cell = []
    for place, (dimension, name) in enumerate(zip(by, row.names, strict=True)):
        shown = _text(name) or (NO_KEY if len(by) == 1 else "")
        if name and links and (address := links.to(dimension, row.keys[place])):
            shown = f'<a href="{escape(address)}">{shown}</a>'
        kind, scope = ("td", "") if place or not name else ("th", ' scope="row"')
        time_ = " time" if dimension in TIMES else ""
        cell.append(f'<{kind}{scope} class="key{time_}">{shown}</{kind}>')
    return "".join(cell)


def _text(text: str) -> str:
    return escape(one_line(text))
