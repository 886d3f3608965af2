"""The text of a block as it is shown and searched."""

from typing import Final

from cli.render.blocks.block import Block, Role
from cli.terminal.cells import steady
from rollout.search.normalize import casefold
from rollout.search.terms import Matcher

MOST_CHARACTERS: Final = 500_000
"""Of one text; what is longer is cut, and a line says so."""
_TAB: Final = "    "


def texts_of(block: Block) -> tuple[str, str]:
    """The title and the text of a block as they are shown and searched."""
    title = block.title
    if block.role in (Role.USER, Role.AGENT) and title in ("user", "agent"):
        title = ""
    elif block.command:
        title = f"$ {title}"
    return untabbed(title[:MOST_CHARACTERS]), untabbed(block.text[:MOST_CHARACTERS])


def untabbed(text: str) -> str:
    """A text as it is shown: without tabs, and of a steady width."""
    return steady(text.replace("\t", _TAB))


def spans_of(block: Block, matcher: Matcher) -> list[tuple[int, int]]:
    """Where matches are in a block: in its title, a line break and its text."""
    return [*matcher.spans("\n".join(texts_of(block)))]


def terms_in(block: Block, matcher: Matcher) -> int:
    """How many of the terms a block has."""
    if len(matcher.terms) < 2:
        return 1
    return len(matcher.found_in(casefold("\n".join(texts_of(block)))))
