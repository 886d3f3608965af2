"""The blocks of a thread as HTML, for exports and for pages that are served."""

from collections.abc import Iterator
from html import escape
from typing import Final, NamedTuple

from cli.render.blocks.block import Block, Form, Picture, Role, collapsed
from cli.render.html.diff import diff_html, patch_html
from cli.render.html.markdown import rendered
from cli.terminal.text import amount, one_line, plural

_LARGE_PICTURE: Final = 64 * 1024
"""A picture with a longer URL is loaded by itself."""


_SCROLLED: Final = 10
"""A command of more lines is scrolled by itself on a page that is served."""


class Most(NamedTuple):
    """How much of a text a page has before somebody asks for all of it."""

    characters: int
    lines: int


_MOST: Final = {
    Form.PLAIN: Most(12_000, 200),
    Form.MARKDOWN: Most(60_000, 2_000),
    Form.OUTPUT: Most(12_000, 300),
    Form.DIFF: Most(40_000, 800),
}
_MOST_OF_ALL: Final = Most(4_000_000, 200_000)


class Served(NamedTuple):
    """What a block has on a page that is served, and not in an export: it is folded by its kind,
    patches stand side by side, and what is long is loaded when somebody asks for it."""

    url: str
    """Where all of it is, and with ``&picture=N`` its pictures."""
    whole: bool = False
    """Whether all of it is wanted."""


def block_html(shown: Block, served: Served | None = None) -> Iterator[str]:
    """The HTML of a block, in pieces."""
    marks = f"part {shown.role}{' failed' if shown.failed else ''}"
    if served is not None and shown.form is Form.DIFF:
        marks += " patch"
    state = f' <span class="state">{_text(shown.state)}</span>' if shown.state else ""
    yield f'<section class="{marks}">\n'
    if shown.command:
        reached = ' tabindex="0"' if served and shown.title.count("\n") >= _SCROLLED else ""
        yield f'<pre class="command"{reached}>$ {escape(shown.title)}{state}</pre>\n'
    elif shown.role is not Role.REASONING and not (served and shown.form is Form.DIFF):
        yield f'<div class="name">{_text(shown.title)}{state}</div>\n'
    if shown.text:
        yield from _body(shown) if served is None else _served_body(shown, served, state)
    for at, picture in enumerate(shown.pictures):
        yield _picture(picture, f"{served.url}&picture={at}" if served else "")
    yield "</section>\n"


def _text(text: str) -> str:
    return escape(one_line(text))


def _body(shown: Block) -> Iterator[str]:
    if shown.form is Form.MARKDOWN:
        said = f'<div class="said">{rendered(shown.text)}</div>\n'
        if shown.role is Role.REASONING:
            said = f"<details>\n<summary>reasoning</summary>\n{said}</details>\n"
        yield said
        return
    if shown.form is Form.PLAIN:
        yield f'<div class="said plain">{escape(shown.text)}</div>\n'
        return
    pre = f"<pre>{escape(shown.text)}</pre>\n"
    if shown.form is Form.DIFF:
        pre = f'<pre class="diff"><code>{diff_html(shown.text)}</code></pre>\n'
    if is_short(shown):
        yield pre
        return
    yield f"<details>\n<summary>{_lines(shown.text)}</summary>\n{pre}</details>\n"


def is_short(shown: Block) -> bool:
    """Whether all of an output or a patch is seen at once."""
    lines, hidden, _ = collapsed(shown, full=False)
    return not hidden and sum(map(len, lines)) >= len(shown.text.replace("\n", ""))


def _lines(text: str) -> str:
    return plural(text.count("\n") + 1, "line")


def _served_body(shown: Block, served: Served, state: str) -> Iterator[str]:
    most = _MOST_OF_ALL if served.whole else _MOST[shown.form]
    text, cut = _cut(shown.text, most)
    unfolded = " open" if served.whole or (is_short(shown) and not cut) else ""
    more = "" if not cut else _more(shown.text, served)
    if shown.form is Form.DIFF:
        yield from patch_html(shown.title, text, unfolded, state)
        yield more
        return
    match shown.form:
        case Form.MARKDOWN:
            said = f'<div class="said">{rendered(text, served=True)}</div>\n{more}'
        case Form.PLAIN:
            said = f'<div class="said plain">{escape(text)}</div>\n{more}'
        case _:
            said = f"<pre>{escape(text)}</pre>\n{more}"
    if shown.role is Role.REASONING:
        unfolded = " open" if served.whole else ""
        yield f'<details data-kind="reasoning"{unfolded}>\n<summary>reasoning</summary>\n'
        yield f"{said}</details>\n"
    elif shown.form is Form.OUTPUT:
        yield f'<details data-kind="output"{unfolded}>\n<summary>{_lines(shown.text)}</summary>\n'
        yield f"{said}</details>\n"
    else:
        yield said


def _cut(text: str, most: Most) -> tuple[str, bool]:
    """The beginning of a text, up to the end of a line if one is near; and whether there is
    more."""
    if len(text) <= most.characters and text.count("\n") < most.lines:
        return text, False
    lines = text[: most.characters].split("\n", most.lines)
    cut = "\n".join(lines[: most.lines])
    if len(cut) == most.characters and (end := cut.rfind("\n")) > most.characters // 2:
        cut = cut[:end]
    return cut, True


def _more(text: str, served: Served) -> str:
    size = f"{_lines(text)}, {amount(len(text))} characters"
    if served.whole:
        return f'<p class="more">Cut here: it has {size}.</p>\n'
    return f'<p class="more"><a href="{escape(served.url)}">Show all of it: {size}</a></p>\n'


def _picture(picture: Picture, url: str) -> str:
    label = _text(picture.label)
    if not picture.url and not (url and picture.left_out):
        return f'<p class="name">[image: {label}]</p>\n'
    if not url:
        return f'<p><img src="{escape(picture.url)}" alt="{label}" /></p>\n'
    source = picture.url if 0 < len(picture.url) <= _LARGE_PICTURE else url
    return f'<p><img src="{escape(source)}" alt="{label}" loading="lazy" /></p>\n'
