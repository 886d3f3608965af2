"""Statistics as one HTML page with charts: SVG and CSS that follow the reader's colours, without
scripts. Chart libraries bring their own colours, and scripts."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

from cli.render.html.head import STYLE, head
from cli.render.stats import svg
from cli.render.stats.table import NO_KEY, cells, change, heads, places, rest, rows
from cli.terminal.text import amount, money, one_line, plural
from state.reports.calendar import TIMES

if TYPE_CHECKING:
    from state.reports.groups import Group
    from state.reports.stats import Statistics

_STYLE: Final = (
    STYLE
    + svg.STYLE
    + """\
body { max-width: 64rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem;
  margin: 1rem 0; }
.card { border: 1px solid var(--line); border-radius: .6rem; padding: .6rem .8rem; }
.card b { display: block; font-size: 1.35rem; font-weight: 650; line-height: 1.3; }
.card span { display: block; color: var(--dim); font-size: .8rem; }
.remark { color: var(--dim); font-size: .9rem; margin: .4rem 0; overflow-wrap: anywhere; }
.legend { list-style: none; padding: 0; margin: 0; font-size: .85rem; }
.legend li { display: inline-block; margin-right: 1rem; overflow-wrap: anywhere; }
.legend i { display: inline-block; width: .7rem; height: .7rem; border-radius: .2rem;
  margin-right: .35rem; }
.wide { overflow-x: auto; }
table { width: 100%; font-size: .9rem; }
td, th { border-bottom: 1px solid var(--line); padding: .2rem .5rem; text-align: left; }
td:first-child, th:first-child { padding-left: 0; }
th { font-weight: 600; color: var(--dim); }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.key { overflow-wrap: anywhere; min-width: 8rem; } .bar { width: 12%; min-width: 6.5rem; }
td.key.time { white-space: nowrap; min-width: 0; }
tr.sum td { font-weight: 600; }
@media (max-width: 56rem) { .n-responses, .n-reasoning, td.bar, th.bar { display: none; } }
@media (max-width: 40rem) {
  .n-threads, .n-cached, .n-input, .n-output, .n-before, .two .n-change { display: none; }
  body { padding: 1rem .75rem 2rem; } td, th { padding: .2rem .35rem; } td.key { min-width: 5rem; }
  table { font-size: .85rem; } }
.bar div { background: var(--c0); height: .7rem; border-radius: .2rem; min-width: 1px; }
@media print { body { max-width: none; padding: 0; }
  svg, tr, .card { break-inside: avoid; } h2 { break-after: avoid; }
  .bar div, .legend i { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
)
_MOST_COLUMNS: Final = 1200


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
    """The page, in pieces; ``limit`` is how many rows a table has."""
    title = _text(report.title)
    yield head(title, _STYLE)
    yield f'<h1>{title}</h1>\n<ul class="facts">\n'
    yield "".join(f"<li>{_text(fact)}</li>\n" for fact in report.facts) + "</ul>\n"
    yield from _cards(report.tables[0].statistics)
    yield "".join(f'<p class="remark">{_text(each)}</p>\n' for each in report.remarks)
    if not report.tables[0].statistics.groups:
        yield "<p>No tokens were used in this time.</p>\n</body>\n</html>\n"
        return
    if report.times.statistics.groups:
        yield from _charts(report)
    for table in report.tables:
        yield from _table(table, limit)
    yield "</body>\n</html>\n"


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
        told = money(tally.spent, tally.unpriced) if tally else money(0)
        costs.append(svg.Column(name, [svg.Part(cost, 0)], f"{name}: {told}"))
    yield f"<section>\n<h2>tokens by {dimension}</h2>\n"
    yield svg.columns(tokens, f"tokens by {dimension}", svg.axis_of_amounts)
    yield from _legend(colours, groups)
    yield "</section>\n"
    if report.times.statistics.total.cost is not None:
        yield f"<section>\n<h2>cost by {dimension}</h2>\n"
        yield svg.columns(costs, f"cost by {dimension}", svg.axis_of_money) + "</section>\n"
    yield "<section>\n<h2>tokens by hour of the week</h2>\n"
    yield _week(report.week) + "</section>\n"


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
        yield f'<li><i style="background: var(--c{colour})"></i>{_text(key) or NO_KEY}</li>\n'
    if others:
        last = svg.COLOURS - 1
        count = plural(len(others), "other")
        yield f'<li><i style="background: var(--c{last})"></i>{count}</li>\n'
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
    return svg.week(hours, titles, "tokens by hour of the week")


def _table(table: Table, limit: int) -> Iterator[str]:
    by, found = table.by, table.statistics
    name = " and ".join(by)
    yield f'<section id="{"-".join(by)}">\n<h2>by {name}</h2>\n<div class="wide">'
    yield '<table class="two">\n' if len(by) > 1 else "<table>\n"
    titles = heads(found)
    kept = places(by, titles)
    numbers = "".join(f'<th class="number n-{titles[n]}">{titles[n]}</th>' for n in kept)
    keys = "".join(f"<th>{each}</th>" for each in by)
    yield f'<tr>{keys}{numbers}<th class="bar">tokens</th></tr>\n'
    with_turns = found.total.turns is not None
    shown = [*rows(found.groups, by, limit, table.names, sums=True)]
    most = max((row.group.tally.total for row in shown), default=0) or 1
    for row in shown:
        names = [_text(each) or (NO_KEY if len(by) == 1 else "") for each in row.names]
        keys = "".join(
            f'<td class="key{" time" * (dimension in TIMES)}">{each}</td>'
            for dimension, each in zip(by, names, strict=True)
        )
        tally = row.group.tally
        values = cells(tally, row.group.before, amount, with_turns=with_turns)
        numbers = "".join(f'<td class="number n-{titles[n]}">{values[n]}</td>' for n in kept)
        share = 100 * tally.total / (found.total.total or 1)
        width = 100 * tally.total / most
        bar = f'<div style="width: {width:.1f}%" title="{share:.1f}% of all tokens"></div>'
        mark = ' class="sum"' if row.outer and len(by) > 1 else ""
        yield f'<tr{mark}>{keys}{numbers}<td class="bar">{bar}</td></tr>\n'
    yield "</table></div>\n"
    if more := rest(found.groups, by, limit):
        yield f'<p class="name">{more}</p>\n'
    yield "</section>\n"


def _text(text: str) -> str:
    return escape(one_line(text))
