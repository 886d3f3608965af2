"""The outline of a thread as the index has it, without the items of its turns: of a gigabyte they
are many megabytes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rollout.history.thread import ThreadTurns
from rollout.history.turn_outline import ListedTurn
from rollout.turns.item_refs import ItemRefs, Position
from rollout.turns.turn import Turn
from state.db.steps import Steps
from state.turns.outline_rows import OutlineRow
from state.turns.store import SomeTurns, checkpoint_steps, files_of, is_checkpoint_of

_LOAD: Final = (
    "SELECT o.digest, o.prompt, o.files, o.failures, o.tokens, t.id, t.explicit, t.root_id,"
    " t.started_at, t.completed_at, t.duration_ms, t.status, t.start_file, t.start_offset,"
    " t.start_ordinal"
    " FROM turns t LEFT JOIN turn_outlines o USING (thread_id, position)"
    " WHERE t.thread_id = ? AND t.orphan = 0 ORDER BY t.position"
)
_NO_ITEMS: Final = ItemRefs()


class StoredOutline(NamedTuple):
    """Some turns of a thread in a line each."""

    history: ThreadTurns
    """It has only the number of its turns."""
    places: Sequence[int]
    """Of these turns among all."""
    turns: list[ListedTurn]


def outline_steps(
    thread_id: str, path: Path, home: Path, choose: Callable[[Sequence[str]], Sequence[int]]
) -> Steps[StoredOutline | None]:
    """The outline of those turns of a thread for which ``choose``, called with the ids of all,
    gives the places. None if it is not stored as the files are now."""
    checkpoint = yield from checkpoint_steps(thread_id)
    if checkpoint is None or not is_checkpoint_of(checkpoint, path, home):
        return None
    rows = yield _LOAD, [thread_id]
    if not rows:
        return None
    places = choose([row[5] for row in rows])
    try:
        turns = [_listed(at, rows[at]) for at in places]
        parts = [file.part for file in files_of(checkpoint[1], checkpoint[5:], home)]
    except (KeyError, TypeError, ValueError):
        return None  # it is not stored, or not as it was written
    history = ThreadTurns(checkpoint[2], parts, SomeTurns(len(rows), {}), [], None)
    return StoredOutline(history, places, turns)


def _listed(place: int, row: Sequence[Any]) -> ListedTurn:
    id_, explicit, root_id, began, ended, took, status = row[5:12]
    start, explicit = Position(*row[12:]), bool(explicit)
    turn = Turn(id_, start, explicit, root_id, began, ended, took, status, items=_NO_ITEMS)
    return ListedTurn(place + 1, turn, OutlineRow(*row[:5]).outline())
