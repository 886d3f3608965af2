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


_LINKED: Final = re.compile(r"(?:https?:|mailto:)", re.IGNORECASE)


def rendered(text: str, *, served: bool = False) -> str:
    """Markdown as HTML, without the HTML of its source, loading nothing. Its headings are below
    those of the page. On a page that is ``served``, links leave it alone, and those to anything but
    the web or an address of mail, as to a file, are none."""
    if len(text) > _LONGEST_MARKDOWN:
        return f'<div class="plain">{escape(text)}</div>'
    try:
        made = _html(text, served=served)
    except RecursionError:  # deeply nested lists
        return f'<div class="plain">{escape(text)}</div>'
    return printable(made)  # entities can spell what was removed from the source


def _html(text: str, *, served: bool) -> str:
    markdown = _markdown()
    values: dict[str, Any] = {_SERVED: served}
    tokens = markdown.parse(text, values)
    levels = [int(token.tag[1:]) for token in tokens if token.type == "heading_open"]
    above = _ABOVE - (min(levels) - 1 if levels and served else 0)  # no level is passed over
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + above, 6)}"
        elif served and (aligned := token.attrs.pop("style", "")):  # of a cell
            token.attrSet("class", str(aligned).removeprefix("text-align:"))
    return str(markdown.renderer.render(tokens, markdown.options, values))


@cache
def _markdown() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False, "xhtmlOut": True})
    made.enable(["table", "strikethrough"])
    made.add_render_rule("image", _image)
    made.add_render_rule("link_open", _link)
    made.add_render_rule("link_close", _link_end)
    made.add_render_rule("table_open", _table)
    made.add_render_rule("table_close", _table_end)
    return made


_SERVED: Final = "served"
_NO_LINK: Final = "no link"
"""While a link is open that is none on a page that is served."""


def _image(_: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    token = tokens[at]
    url, label = str(token.attrGet("src") or ""), escape(token.content)
    if _INLINE_IMAGE.fullmatch(url):
        return f'<img src="{escape(url)}" alt="{label}" />'
    return f"[image: {label} {escape(url)}]"


def _link(_: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    source = str(tokens[at].attrGet("href") or "")
    url = escape(source)
    if not env[_SERVED]:
        return f'<a href="{url}" rel="noopener noreferrer nofollow">'
    if _LINKED.match(source):
        return f'<a href="{url}" rel="noopener noreferrer nofollow" target="_blank">'
    env[_NO_LINK] = True
    return f'<span class="path" title="{url}">'


def _link_end(_: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    return "</span>" if env.pop(_NO_LINK, False) else "</a>"


def _table(_: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    # What can be scrolled has to be reached by the keyboard.
    box = '<div class="table" tabindex="0" role="group" aria-label="Table">'
    return f"{box if env[_SERVED] else ''}<table>\n"


def _table_end(_: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    return f"</table>{'</div>' if env[_SERVED] else ''}\n"
