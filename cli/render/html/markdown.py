"""Markdown of agents as HTML."""

import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any, Final

from cli.terminal.text import printable

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_LONGEST_MARKDOWN: Final = 200_000
_ABOVE: Final = 2
"""The levels of headings that a page has for itself: its title and its turns."""
_INLINE_IMAGE: Final = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")


def rendered(text: str) -> str:
    """Markdown as HTML, without the HTML of its source, loading nothing. Its headings are below
    those of the page."""
    if len(text) > _LONGEST_MARKDOWN:
        return f'<div class="plain">{escape(text)}</div>'
    try:
        made = _html(text)
    except RecursionError:  # deeply nested lists
        return f'<div class="plain">{escape(text)}</div>'
    return printable(made)  # entities can spell what was removed from the source


def _html(text: str) -> str:
    markdown = _markdown()
    values: dict[str, Any] = {}
    tokens = markdown.parse(text, values)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + _ABOVE, 6)}"
    return str(markdown.renderer.render(tokens, markdown.options, values))


@cache
def _markdown() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False, "xhtmlOut": True})
    made.enable(["table", "strikethrough"])
    made.add_render_rule("image", _image)
    made.add_render_rule("link_open", _link)
    return made


def _image(_: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    token = tokens[at]
    url, label = str(token.attrGet("src") or ""), escape(token.content)
    if _INLINE_IMAGE.fullmatch(url):
        return f'<img src="{escape(url)}" alt="{label}" />'
    return f"[image: {label} {escape(url)}]"


def _link(_: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    url = escape(str(tokens[at].attrGet("href") or ""))
    return f'<a href="{url}" rel="noopener noreferrer nofollow">'
