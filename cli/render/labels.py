"""The label, the folder and the cost of a thread, as lists show them."""

from typing import TYPE_CHECKING, Any

from cli.terminal.cells import settled
from cli.terminal.text import iso, one_line
from state.query.rows import Row
from state.query.thread_json import display_name, display_text

if TYPE_CHECKING:
    from state.prices.spending import Spending
    from state.query.marks import Marks


def label(row: Row) -> str:
    """What a list shows for a thread: its name, else its beginning."""
    return display_name(row) or display_text(row)


def folder(cwd: str, home: str) -> str:
    """A folder for people, on one line: with ``~`` for the user's home."""
    text = settled(cwd)
    return "~" + text[len(home) :] if text == home or text.startswith(home + "/") else text


def marks_json(marks: "Marks | None") -> dict[str, Any]:
    """What users have put on a thread, to be added to its JSON: only what there is."""
    given = {name: value for name, value in (marks._asdict() if marks else {}).items() if value}
    return {"marks": given} if given else {}


def usage_json(spent: "Spending") -> dict[str, Any]:
    """What a thread used itself, for ``--json``; ``costUsd`` is null where no price is known."""
    return {
        "tokens": spent.tokens,
        "costUsd": spent.cost,
        "unpricedTokens": spent.unpriced_tokens,
    }


def machine_of(row: Row) -> str:
    """The machine and the user of a thread of a fleet; empty for others."""
    user = f" ({row['user']})" if row.get("user") else ""
    return f"machine {row['machine']}{user}" if row.get("machine") else ""


def other_machines(row: Row) -> list[str]:
    """The other machines that have a copy of a thread of a fleet, that with the newest first."""
    return [name for name in row.get("machines", ()) if name != row["machine"]]


def passed_over_note(row: Row) -> str:
    """What is said of a thread of a fleet whose newest copy lacks what is shown, so that this is an
    older one; empty for others."""
    if (newest := row.get("passed_over")) is None:
        return ""
    return one_line(
        f"The newest copy, on {newest.machine}, was pushed without its {newest.lacks}: this is the"
        f" one of {row['machine']}, of {iso(row['updated_at_ms'])}."
    )


def owner_of(row: Row) -> str:
    """The same where there is little room: ``anna@laptop``."""
    name, user = settled(row.get("machine") or ""), settled(row.get("user") or "")
    return f"{user}@{name}" if user and name else name
