"""A thread as one HTML page: without scripts, loading nothing, with images from the thread only."""

from collections.abc import Iterator
from html import escape
from typing import Final

from cli.render.html.block import block_html
from cli.render.html.head import head
from cli.render.outline import files_text
from cli.render.reading import Reading, ShownTurn
from cli.terminal.text import iso, one_line, plural, shortened
from rollout.history.turn_outline import TurnOutline

_STYLE: Final = """\
h2 a { color: inherit; text-decoration: none; } h2 a:hover { text-decoration: underline; }
.turn { display: flex; flex-wrap: wrap; gap: 0 .6rem; position: sticky; top: 0; z-index: 1;
  background: var(--bg); padding: .5rem 0; margin-bottom: .25rem; }
.turn b { color: var(--ink); } .go { margin-left: auto; display: flex; gap: .25rem; }
.go a { padding: 0 .5rem; border: 1px solid var(--line); border-radius: .3rem; }
article { content-visibility: auto; contain-intrinsic-size: auto 50rem; }
:target > .turn b { color: var(--accent); }
.turns { font-size: .85rem; line-height: 1.35; }
.turns summary { font-size: .9rem; padding: .5rem 0; }
.turns p { margin: .7rem 0 .2rem; color: var(--dim); font-weight: 600; }
.turns a { display: flex; gap: .5rem; padding: .2rem .3rem; border-radius: .3rem;
  color: inherit; text-decoration: none; }
.turns a:hover { background: var(--code); } .turns div { scroll-target-group: auto; }
.turns a:target-current { background: var(--user); }
.turns b { color: var(--dim); min-width: 1.8em; text-align: right; font-weight: 600; }
.turns time { color: var(--dim); } .turns b, .turns time { font-variant-numeric: tabular-nums; }
.turns small { color: var(--dim); display: block; }
.turns em { color: var(--bad); font-style: normal; }
.turns .about { min-width: 0; overflow-wrap: anywhere; }
.turns .prompt { overflow: hidden; display: -webkit-box; -webkit-box-orient: vertical;
  -webkit-line-clamp: 3; }
@media (max-width: 39.99rem) { .took { display: none; } .go a { padding: 0 .35rem; } }
@media (max-width: 63.99rem) {
  .turns { border: 1px solid var(--line); border-radius: .4rem; padding: 0 .75rem; margin: 1rem 0; }
  .turns details:not([open]) + div { display: none; }
  .turns div { max-height: 60vh; overflow-y: auto; padding-bottom: .75rem; }
  .turns a { padding: .45rem .3rem; } }
@media (min-width: 64rem) {
  .go .list { display: none; }
  body.beside { max-width: none; display: grid; grid-template-columns: 17rem minmax(0, 56rem);
    grid-template-rows: auto 1fr; gap: 0 2.5rem; justify-content: center; }
  .turns { position: sticky; top: 0; grid-row: 1 / 3; max-height: 100vh; overflow-y: auto;
    align-self: start; padding: 1rem .25rem 1rem 0; margin-top: -1rem; }
  .turns details { display: none; } .turns p:first-child { margin-top: 0; } }
section.part { margin: .75rem 0; }
.state { display: inline-block; font-weight: 400; } .failed .state, .error { color: var(--bad); }
.user > .said { background: var(--user); border-radius: .5rem; padding: .6rem .8rem; }
.said { overflow-wrap: anywhere; } .plain { white-space: pre-wrap; }
h1, .turns .prompt, .plain, .said :is(p, li, h3, h4, h5, h6) { unicode-bidi: plaintext;
  text-align: start; }
.said > :first-child { margin-top: 0; } .said > :last-child { margin-bottom: 0; }
.said :is(h3, h4, h5, h6) { font-size: 1rem; line-height: 1.35; margin: 1.1em 0 .4em; }
.said h3 { font-size: 1.15rem; } .said h4 { font-size: 1.05rem; }
.said table { display: block; max-width: 100%; overflow-x: auto; }
.said td, .said th { overflow-wrap: normal; }
pre { background: var(--code); border: 1px solid var(--line); border-radius: .4rem; margin: .3rem 0;
  padding: .5rem .7rem; overflow-x: auto; font: .82rem/1.45 ui-monospace, monospace; tab-size: 4; }
code { font-family: ui-monospace, monospace; font-size: .9em; } pre code { font-size: 1em; }
pre.command { font-weight: 600; margin-bottom: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
pre.diff { padding-left: 0; padding-right: 0; }
.diff code { display: block; width: max-content; min-width: 100%; }
.diff span { display: block; min-height: 1.45em; padding: 0 .7rem; }
.diff .add { background: var(--add); } .diff .del { background: var(--del); }
.diff .at { color: var(--accent); }
summary { cursor: pointer; color: var(--dim); font-size: .8rem; }
.reasoning { color: var(--dim); }
td, th { border: 1px solid var(--line); padding: .2rem .5rem; }
img { max-width: 100%; height: auto; border-radius: .4rem; }
@media print {
  body, body.beside { display: block; max-width: none; padding: 0; font-size: 11pt; }
  .turns, .go { display: none; } .turn { position: static; break-after: avoid; }
  article { content-visibility: visible; }
  pre, .diff code { white-space: pre-wrap; overflow-wrap: anywhere; width: auto; }
  .said table { display: table; }
  img, .user > .said { break-inside: avoid; }
  .user > .said, .diff span { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
_LONGEST_TITLE: Final = 120


def page(reading: Reading) -> Iterator[str]:
    """The HTML of a thread, in pieces."""
    title = _text(reading.title)
    several = len(reading.numbers) > 1
    yield head(title, _STYLE, "beside" if several else "")
    if several:
        yield from _list_of_turns(reading)
    yield f'<header>\n<h1>{title}</h1>\n<ul class="facts">\n'
    yield "".join(f"<li>{_text(fact)}</li>\n" for fact in reading.facts(_time))
    yield "</ul>\n"
    yield "".join(f'<p class="warning">{_text(text)}</p>\n' for text in reading.warnings())
    yield "</header>\n<main>\n"
    for at, turn in enumerate(reading.turns()):
        yield from _turn(turn, at, len(reading.numbers))
    yield "</main>\n</body>\n</html>\n"


def _list_of_turns(reading: Reading) -> Iterator[str]:
    """The prompts, each with a link to its turn. Where there is no room beside the turns, the list
    is folded: it stands behind the ``details`` that opens it, as it would be hidden in one."""
    count = plural(len(reading.numbers), "turn")
    yield '<nav id="turns" class="turns" aria-label="Turns">\n'
    yield f"<details><summary>{count}</summary></details>\n<div>\n"
    day = ""
    for turn in reading.outline():
        began = iso(turn.started_ms)
        if began and began[:10] != day:
            day = began[:10]
            yield f"<p>{day}</p>\n"
        clock = f'<time datetime="{began}">{began[11:16]}</time>' if began else ""
        prompt = _text(shortened(turn.prompt, _LONGEST_TITLE)) or "(no prompt)"
        link = f'<a href="#turn-{turn.number}">'
        came = _came_of(turn.outline)
        about = f'<span class="prompt">{prompt}</span>{came}'
        yield f'{link}<b>{turn.number}</b>{clock}<span class="about">{about}</span></a>\n'
    yield "</div>\n</nav>\n"


def _came_of(outline: TurnOutline) -> str:
    """What a turn changed, and how many commands failed in it."""
    files = _text(files_text(outline))
    failed = f"<em>{len(outline.failures):,} failed</em>" if outline.failures else ""
    facts = " · ".join(filter(None, (files, failed)))
    return f"<small>{facts}</small>" if facts else ""


def _time(time_ms: int | None) -> str:
    """A time for readers anywhere."""
    text = iso(time_ms)
    return f"{text[:10]} {text[11:16]} UTC" if text else ""


def _text(text: str) -> str:
    return escape(one_line(text))


def _turn(turn: ShownTurn, at: int, count: int) -> Iterator[str]:
    """A turn, of so many that have a number, which come first."""
    anchor = f"turn-{turn.number}" if turn.number else f"outside-{at - count + 1}"
    yield f'<article id="{anchor}">\n<h2 class="turn">'
    yield f'<a href="#{anchor}"><b>{_text(turn.name.capitalize())}</b></a>'
    if began := _time(turn.started_ms):
        yield f'<time datetime="{iso(turn.started_ms)}">{began}</time>'
    if turn.duration:
        yield f'<span class="took">{_text(turn.duration)}</span>'
    if turn.status:
        yield f"<span>{_text(turn.status)}</span>"
    if turn.number and count > 1:
        yield '<span class="go"><a class="list" href="#turns" title="all turns">☰</a>'
        if at:
            yield f'<a href="#turn-{turn.number - 1}" title="previous turn">↑</a>'
        if at < count - 1:
            yield f'<a href="#turn-{turn.number + 1}" title="next turn">↓</a>'
        yield "</span>"
    yield "</h2>\n"
    for shown in turn.blocks:
        yield from block_html(shown)
    yield "</article>\n"
