"""Weights and colours of text on a terminal, without a library: a list is to come quickly."""

import os
import re
from collections.abc import Callable
from typing import Final

from cli.terminal import output
from cli.terminal.delegated import DELEGATED

Painter = Callable[[str, str], str]
"""Gives a text a style: words such as ``bold cyan``; an empty one leaves it as it is."""
_CODES: Final = {"bold": "1", "dim": "2", "italic": "3"}
_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
_PLAIN_TERMINALS: Final = ("dumb", "unknown")


def painter() -> Painter:
    """What styles text for stdout: nothing into a pipe or on a terminal that shows no styles, and
    no colours where ``NO_COLOR`` is set."""
    client = DELEGATED.get()
    environment = os.environ if client is None else client.environment
    plain = environment.get("TERM", "").lower() in _PLAIN_TERMINALS
    if plain or environment.get("TTY_COMPATIBLE") == "0" or not output.on_terminal():
        return _plain
    codes = _CODES if environment.get("NO_COLOR") else _CODES | _COLOURS

    def paint(text: str, style: str) -> str:
        shown = ";".join(codes[word] for word in style.split() if word in codes)
        return f"\x1b[{shown}m{text}\x1b[0m" if shown and text else text

    return paint


def _plain(text: str, _: str) -> str:
    return text


def unstyled(text: str) -> str:
    """``text`` without what a painter has added."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)
