"""What rich draws for a terminal, in its own colours: Markdown, and tables with whole values."""

import os
from collections.abc import Callable
from functools import cache
from io import StringIO
from typing import TYPE_CHECKING, ClassVar, Final

from cli.terminal.delegated import DELEGATED

if TYPE_CHECKING:
    from rich.console import Console
    from rich.markdown import Markdown

_THEME: Final = {
    **dict.fromkeys(("markdown.code", "markdown.code_block"), "cyan"),
    **{f"markdown.h{level}": "bold" for level in range(1, 7)},
}
"""Without backgrounds, which fit one theme only."""
_ANY_HEIGHT: Final = 25
"""Without one, rich takes every dumb terminal for one of 80 columns."""


def console(file: StringIO, width: int) -> "Console":
    """What draws on ``file`` for a terminal of a width, in its own colours."""
    from rich.console import Console
    from rich.theme import Theme

    client = DELEGATED.get()
    environment = os.environ if client is None else client.environment
    return Console(
        file=file,
        force_terminal=environment.get("TTY_COMPATIBLE") != "0",
        width=width,
        height=_ANY_HEIGHT,
        highlight=False,
        emoji=False,
        markup=False,
        theme=Theme(_THEME),
        _environ=environment,
    )


@cache
def markdown() -> "Callable[[str, str], Markdown]":
    """What makes Markdown, with a style, fit for a console."""
    from rich.markdown import Heading, Markdown

    class Left(Heading):
        LEVEL_ALIGN: ClassVar = {}

    class LeftMarkdown(Markdown):
        elements: ClassVar = {**Markdown.elements, "heading_open": Left}

    # Links are printed, not hidden behind text.
    return lambda text, style: LeftMarkdown(
        text, style=style, hyperlinks=False, code_theme="ansi_dark"
    )
