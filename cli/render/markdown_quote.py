"""Markdown of agents as a quotation that changes nothing around it, whose headings are below those
of turns, and that loads nothing."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from markdown_it.token import Token

_BEHIND: Final = "what-stands-behind"
_AROUND: Final = ["blockquote_open", "blockquote_close", "paragraph_open", "paragraph_close"]
_UNWANTED: Final = {"html_block", "html_inline", "image"}
_CODE: Final = {"fence", "code_block", "code_inline"}
_DEEPEST: Final = 18  # deeper nesting is not examined
_IMAGE: Final = re.compile(r"(?<!\\)!\[")
# Definitions of links and footnotes, which apply to the whole file; also in lists and quotations.
_DEFINITION: Final = re.compile(r"^([ \t>*+\-\d.)]*)\[(?=(?:[^\[\]\\]|\\.){1,999}\]:)")
_HEADING: Final = re.compile(r"^([ \t>*+\-\d.)]*)(#{1,6})(?=[ \t]|$)")
_MAY_BE_HEADING: Final = re.compile(rf"{_HEADING.pattern}|^[ \t>]*(?:=+|-+)[ \t]*$", re.MULTILINE)
_ABOVE: Final = 2
"""The levels of headings that an export has for itself: its title and its turns."""
_LOWEST: Final = 6


def quoted(text: str) -> str | None:
    """The Markdown ``text`` in a block quote, with images as links, definitions as plain text and
    headings two levels down. None if it would not look the same, or has HTML in it."""
    try:
        plain, code = _without_effects(text)
        made = "".join(f"> {line}\n" if line else ">\n" for line in plain.split("\n"))
        tokens, references = _parsed(f"{made}\n{_BEHIND}\n")
    except RecursionError:
        return None
    every = [*tokens, *_inner(tokens)]
    if (
        references
        or [token.type for token in tokens if token.level == 0] != _AROUND
        or tokens[-2].content != _BEHIND
        or any(token.type in _UNWANTED or token.level > _DEEPEST for token in every)
        or any(token.type == "heading_open" and int(token.tag[1:]) <= _ABOVE for token in every)
        or (code is not None and code != _code(every))
    ):
        return None
    return made


def _without_effects(text: str) -> tuple[str, list[str] | None]:
    """The text without images and definitions and with lower headings, and the code in it; None
    where the code cannot change."""
    plain = "![" not in text and "]:" not in text and "\t" not in text
    if plain and _MAY_BE_HEADING.search(text) is None:
        return text, None
    tokens, _ = _parsed(text)
    lines = text.split("\n")
    code, images = set[int](), set[int]()
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            _lower(lines, token, tokens[at + 1].content)
        if token.map and token.type in _CODE:
            code.update(range(*token.map))
        if token.map and any(child.type == "image" for child in token.children or ()):
            images.update(range(*token.map))
    for at, line in enumerate(lines):
        if at in images:
            line = _IMAGE.sub(r"\\![", line)
        lines[at] = line if at in code else _DEFINITION.sub(r"\1\\[", line)
    return "\n".join(lines), _code([*tokens, *_inner(tokens)])


def _lower(lines: list[str], heading: "Token", content: str) -> None:
    """Have a heading begin further down, in the same number of lines."""
    start, end = heading.map or (0, 0)
    marks = "#" * min(int(heading.tag[1:]) + _ABOVE, _LOWEST)
    if heading.markup.startswith("#"):
        lines[start] = _HEADING.sub(rf"\1{marks}", lines[start])
        return
    # Underlining has two levels only. One of several lines stays, and is no quotation: see quoted.
    first, *more = content.split("\n")
    front = lines[start].rfind(first)
    if front >= 0 and not more:
        lines[start] = f"{lines[start][:front]}{marks} {first}"
        lines[end - 1] = lines[end - 1].rstrip("=- \t")


def _parsed(text: str) -> tuple[Sequence["Token"], object]:
    from markdown_it import MarkdownIt

    found: dict[str, Any] = {}
    tokens = MarkdownIt("commonmark").parse(text, found)
    return tokens, found.get("references")


def _inner(tokens: Sequence["Token"]) -> list["Token"]:
    return [child for token in tokens for child in token.children or ()]


def _code(tokens: Sequence["Token"]) -> list[str]:
    return [token.content for token in tokens if token.type in _CODE]
