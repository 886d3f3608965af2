"""Statistics as one HTML page with charts: SVG and CSS that follow the reader's colours, without
scripts. Chart libraries bring their own colours, and scripts."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import islice
from typing import Final

from cli.render.html import STYLE, head
from cli.terminal.text import one_line
from state.reports.stats import TIMES, Statistics, Tally

_MOST_COLUMNS: Final = 400
_HEIGHT: Final = 160
_STYLE: Final = (
    STYLE
    + """\
table { width: 100%; } td, th { border: 0; border-bottom: 1px solid var(--line); text-align: left; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.key { overflow-wrap: anywhere; } td.bar { width: 40%; }
.bar div { background: var(--accent); height: .7rem; border-radius: .2rem; min-width: 1px; }
svg { width: 100%; height: 10rem; display: block; } rect { fill: var(--accent); }
"""
)


def charts(found: Statistics, dimensions: Sequence[str], limit: int, what: str) -> Iterator[str]:
    """The page, in pieces; ``what`` says what was counted."""
    title = escape(one_line(what))
    yield head(title, _STYLE)
    total = found.total
    facts = [f"{total.threads:,} threads", f"{total.tokens:,} tokens"]
    if total.turns is not None:
        facts.insert(1, f"{total.turns:,} turns")
    yield f'<h1>{title}</h1>\n<ul class="facts">\n'
    yield "".join(f"<li>{fact}</li>\n" for fact in facts) + "</ul>\n"
    for dimension in dimensions:
        groups = found.by[dimension]
        yield f'<section id="{dimension}">\n<h2>by {dimension}</h2>\n'
        if dimension in TIMES and len(groups) > 1:
            yield _columns(groups)
        shown = list(groups.items())
        cut = shown[-limit:] if dimension in TIMES else shown[:limit]
        yield from _table(dimension, dict(cut), turns=total.turns is not None)
        if len(groups) > len(cut):
            yield f'<p class="name">{len(groups) - len(cut):,} more (--limit)</p>\n'
        yield "</section>\n"
    yield "</body>\n</html>\n"


def _columns(groups: Mapping[str, Tally]) -> str:
    """A column for each time that has threads."""
    shown = dict(islice(groups.items(), max(0, len(groups) - _MOST_COLUMNS), None))
    most = max(tally.tokens for tally in shown.values()) or 1
    parts = []
    for place, (key, tally) in enumerate(shown.items()):
        height = _HEIGHT * tally.tokens / most
        label = f"{key}: {tally.tokens:,} tokens, {tally.threads:,} threads"
        parts.append(
            f'<rect x="{place * 10 + 1}" y="{_HEIGHT - height:.1f}" width="8"'
            f' height="{height:.1f}"><title>{escape(label)}</title></rect>\n'
        )
    box = f"0 0 {len(shown) * 10} {_HEIGHT}"
    return (
        f'<svg viewBox="{box}" preserveAspectRatio="none" role="img" aria-label="tokens">\n'
        f"{''.join(parts)}</svg>\n"
    )


def _table(title: str, groups: Mapping[str, Tally], *, turns: bool) -> Iterator[str]:
    names = ["threads", *(["turns"] if turns else []), "tokens"]
    heads = "".join(f'<th class="number">{name}</th>' for name in names)
    yield f"<table>\n<tr><th>{title}</th>{heads}<th></th></tr>\n"
    most = max((tally.tokens for tally in groups.values()), default=0) or 1
    for key, tally in groups.items():
        numbers = [tally.threads, *([tally.turns or 0] if turns else []), tally.tokens]
        cells = "".join(f'<td class="number">{number:,}</td>' for number in numbers)
        name = escape(one_line(key)) or "(none)"
        bar = f'<div style="width: {100 * tally.tokens / most:.1f}%"></div>'
        yield f'<tr><td class="key">{name}</td>{cells}<td class="bar">{bar}</td></tr>\n'
    yield "</table>\n"
