"""The label, the folder and the cost of a thread, as lists show them."""

from typing import TYPE_CHECKING, Any

from cli.terminal.text import one_line
from state.query.rows import Row
from state.query.thread_json import display_name, display_text

if TYPE_CHECKING:
    from state.prices.spending import Spending


def label(row: Row) -> str:
    """What a list shows for a thread: its name, else its beginning."""
    return display_name(row) or display_text(row)


def folder(cwd: str, home: str, width: int = 26) -> str:
    """A folder for a column: with ``~`` for the home, cut at its start if it is too long."""
    text = one_line(cwd)
    if text == home or text.startswith(home + "/"):
        text = "~" + text[len(home) :]
    return text if len(text) <= width else "…" + text[1 - width :]


def usage_json(spent: "Spending") -> dict[str, Any]:
    """What a thread used itself, for ``--json``; ``costUsd`` is null where no price is known."""
    return {
        "tokens": spent.tokens,
        "costUsd": spent.cost,
        "unpricedTokens": spent.unpriced_tokens,
    }
