"""A thread as one HTML page: without scripts, loading nothing, with images from the thread only."""

import re
from collections.abc import Iterator
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any, Final

from cli.render.blocks import Block, Form, Picture, Role, collapsed
from cli.render.reading import Reading, ShownTurn
from cli.terminal.text import one_line, plural, printable

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_LONGEST_MARKDOWN: Final = 200_000
STYLE: Final = """\
:root { color-scheme: light dark; --line: #8884; --dim: #6b7280; --user: #eef4ff; --code: #f6f7f9;
  --add: #e3f6e6; --del: #fdE8e8; --bad: #b42318; --accent: #1d4ed8; }
@media (prefers-color-scheme: dark) { :root { --dim: #9aa3af; --user: #1b2538; --code: #17191d;
  --add: #14301b; --del: #3a1717; --bad: #ff8a7a; --accent: #8ab4ff; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: .9rem; font-weight: 600; color: var(--dim); border-top: 1px solid var(--line);
  padding-top: .75rem; margin: 2rem 0 .5rem; overflow-wrap: anywhere; }
h2 a { color: inherit; text-decoration: none; }
.facts { list-style: none; padding: 0; margin: 0; color: var(--dim); font-size: .9rem; }
.facts li { display: inline-block; margin-right: 1rem; overflow-wrap: anywhere; }
.warning { color: var(--bad); }
section.part { margin: .75rem 0; }
.name { font-size: .8rem; font-weight: 600; color: var(--dim); }
.state { font-weight: 400; } .failed .state, .error { color: var(--bad); }
.user > .said { background: var(--user); border-radius: .5rem; padding: .6rem .8rem; }
.said { overflow-wrap: anywhere; } .plain { white-space: pre-wrap; }
.said > :first-child { margin-top: 0; } .said > :last-child { margin-bottom: 0; }
pre { background: var(--code); border: 1px solid var(--line); border-radius: .4rem; margin: .3rem 0;
  padding: .5rem .7rem; overflow-x: auto; font: .82rem/1.45 ui-monospace, monospace; tab-size: 4; }
code { font-family: ui-monospace, monospace; font-size: .9em; } pre code { font-size: 1em; }
pre.command { font-weight: 600; margin-bottom: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.diff .add { background: var(--add); } .diff .del { background: var(--del); }
.diff .at { color: var(--accent); } .diff span { display: block; min-height: 1.45em; }
summary { cursor: pointer; color: var(--dim); font-size: .8rem; }
.reasoning { color: var(--dim); } table { border-collapse: collapse; }
td, th { border: 1px solid var(--line); padding: .2rem .5rem; }
img { max-width: 100%; height: auto; border-radius: .4rem; }
a { color: var(--accent); }
"""
POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The browser loads nothing for a page."""


def page(reading: Reading) -> Iterator[str]:
    """The HTML of a thread, in pieces."""
    title = _text(reading.title)
    yield head(title)
    yield f'<header>\n<h1>{title}</h1>\n<ul class="facts">\n'
    yield "".join(f"<li>{_text(fact)}</li>\n" for fact in reading.facts())
    yield "</ul>\n"
    yield "".join(f'<p class="warning">{_text(text)}</p>\n' for text in reading.warnings())
    yield "</header>\n<main>\n"
    for turn in reading.turns():
        yield from _turn(turn)
    yield "</main>\n</body>\n</html>\n"


def head(title: str, style: str = STYLE) -> str:
    """The beginning of a page, up to its body. ``title`` is escaped already."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8" />\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" />\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1" />\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
    )


def _text(text: str) -> str:
    return escape(one_line(text))


def _turn(turn: ShownTurn) -> Iterator[str]:
    anchor = f"turn-{turn.number}"
    line = " · ".join([turn.name, *turn.facts])
    yield f'<article>\n<h2 id="{anchor}"><a href="#{anchor}">{_text(line)}</a></h2>\n'
    for shown in turn.blocks:
        yield from _block(shown)
    yield "</article>\n"


def _block(shown: Block) -> Iterator[str]:
    marks = f"part {shown.role}{' failed' if shown.failed else ''}"
    state = f' <span class="state">{_text(shown.state)}</span>' if shown.state else ""
    yield f'<section class="{marks}">\n'
    if shown.command:
        yield f'<pre class="command">$ {escape(shown.title)}{state}</pre>\n'
    elif shown.role is not Role.REASONING:
        yield f'<div class="name">{_text(shown.title)}{state}</div>\n'
    yield from _body(shown)
    for picture in shown.pictures:
        yield _picture(picture)
    yield "</section>\n"


def _body(shown: Block) -> Iterator[str]:
    if not shown.text:
        return
    if shown.form is Form.MARKDOWN:
        said = f'<div class="said">{rendered(shown.text)}</div>\n'
        if shown.role is Role.REASONING:
            said = f"<details>\n<summary>reasoning</summary>\n{said}</details>\n"
        yield said
        return
    if shown.form is Form.PLAIN:
        yield f'<div class="said plain">{escape(shown.text)}</div>\n'
        return
    lines, hidden, _ = collapsed(shown, full=False)
    pre = f"<pre>{escape(shown.text)}</pre>\n"
    if shown.form is Form.DIFF:
        pre = f'<pre class="diff">{_diff(shown.text)}</pre>\n'
    if not hidden and sum(map(len, lines)) >= len(shown.text.replace("\n", "")):
        yield pre
        return
    count = plural(shown.text.count("\n") + 1, "line")
    yield f"<details>\n<summary>{count}</summary>\n{pre}</details>\n"


_MARKS: Final = {"+": "add", "-": "del", "@": "at", "*": "at"}


def _diff(text: str) -> str:
    return "".join(
        f'<span class="{_MARKS.get(line[:1], "same")}">{escape(line)}</span>'
        for line in text.split("\n")
    )


def _picture(picture: Picture) -> str:
    label = _text(picture.label)
    if picture.url:
        return f'<p><img src="{escape(picture.url)}" alt="{label}" /></p>\n'
    return f'<p class="name">[image: {label}]</p>\n'


def rendered(text: str) -> str:
    """Markdown as HTML, without the HTML of its source, loading nothing."""
    if len(text) > _LONGEST_MARKDOWN:
        return f'<div class="plain">{escape(text)}</div>'
    try:
        made = str(_renderer().render(text))
    except RecursionError:  # deeply nested lists
        return f'<div class="plain">{escape(text)}</div>'
    return printable(made)  # entities can spell what was removed from the source


@cache
def _renderer() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False, "xhtmlOut": True})
    made.enable(["table", "strikethrough"])
    made.add_render_rule("image", _image_in_markdown)
    made.add_render_rule("link_open", _link)
    return made


_INLINE_IMAGE: Final = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")


def _image_in_markdown(_: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    token = tokens[at]
    url, label = str(token.attrGet("src") or ""), escape(token.content)
    if _INLINE_IMAGE.fullmatch(url):
        return f'<img src="{escape(url)}" alt="{label}" />'
    return f"[image: {label} {escape(url)}]"


def _link(_: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    url = escape(str(tokens[at].attrGet("href") or ""))
    return f'<a href="{url}" rel="noopener noreferrer nofollow">'
