"""What the picker says of changes, in the line below the list."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from cli import errors
from cli.render.labels import label
from cli.terminal.cells import cut, settled
from cli.terminal.text import one_line, plural
from rollout.errors import RolloutError
from state.edit.metadata import Changed
from state.errors import (
    AlreadyArchived,
    IndexBusy,
    NotArchived,
    NotResumable,
    StateError,
    ThreadArchived,
    ThreadNotFound,
)
from state.query.rows import Row

Error = StateError | RolloutError
_MOST: Final = 3
"""So many refused threads are named."""
_LABEL_CELLS: Final = 32
_ID_CELLS: Final = 13
_ID: Final = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAMED: Final = re.compile(f"(?<=[Tt]hread ){_ID.pattern}")
_HINTS: Final = {
    ThreadArchived: "unarchive it first",
    AlreadyArchived: "nothing is left to do",
    NotArchived: "nothing is left to do",
    NotResumable: "threadkeep relink OLD NEW records where a folder is now; the command that Ctrl+Y"
    " copies asks for one",
    IndexBusy: "press the key again in a moment",
}
"""What to do here, where a command says something else."""


def called(rows: Mapping[str, Row], ids: Sequence[str]) -> str:
    """What threads are called in a sentence: one by its label, others by how many they are."""
    if len(ids) == 1:
        row = rows.get(ids[0])
        return f"“{cut(settled(label(row)), _LABEL_CELLS)}”" if row else f"thread {_short(ids[0])}"
    return plural(len(ids), "thread")


def sentence(error: Error) -> str:
    """An error with what to do about it."""
    if type(error) is ThreadNotFound:
        return f"Thread {_short(error.reference)} is gone: its file is not there any more."
    hint = _HINTS.get(type(error)) or errors.outcome(error).hint
    text = _NAMED.sub(lambda found: _short(found[0]), one_line(str(error)))
    return f"{capital(text)}: {hint}."


def refusal(rows: Mapping[str, Row], id_: str, error: Error) -> str:
    """Why a thread was refused, which is named first."""
    name, text = capital(called(rows, [id_])), sentence(error)
    about = f"Thread {_short(id_)}"
    return f"{name}{text.removeprefix(about)}" if text.startswith(about) else f"{name}: {text}"


def refusals(rows: Mapping[str, Row], refused: Mapping[str, Error]) -> str:
    """The threads that were refused, each with the reason, on a line each; empty without any."""
    lines = [refusal(rows, id_, error) for id_, error in refused.items()]
    more = len(lines) - _MOST
    if more > 1:  # a line that says so takes no less room than one of them
        lines[_MOST:] = [f"and {plural(more, 'other thread')} that cannot be changed now"]
    return "".join(f"\n{line}" for line in lines)


def of_codex(changes: Iterable[object]) -> str:
    """That changes were made, and Codex does not know; empty if it does."""
    found = (each.codex_error for each in changes if isinstance(each, Changed))
    texts = dict.fromkeys(sentence(error) for error in found if error)
    return "".join(f"\nCodex does not know yet. {text}" for text in texts)


def _short(id_: str) -> str:
    """The beginning of an id, which says when the thread began to the millisecond."""
    return f"{id_[:_ID_CELLS]}…" if _ID.fullmatch(id_) else id_


def capital(text: str) -> str:
    """A text that begins as a sentence does."""
    return text[:1].upper() + text[1:]
