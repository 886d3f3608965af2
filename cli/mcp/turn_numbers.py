"""The numbers of turns of which something was found."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rollout.errors import RolloutError
from state.errors import StateError

if TYPE_CHECKING:
    from state.query.rows import Row
    from state.thread_store import ThreadStore
    from state.turns.checkpoint import TurnState


class Found(NamedTuple):
    """Something in a thread."""

    turn_id: str
    """Empty if its line does not say."""
    file: str = ""
    """Where it is, relative to the home: without an id it is in the turn before."""
    offset: int = 0
    """Of its line."""


async def turn_numbers(store: "ThreadStore", row: "Row", found: Sequence[Found]) -> list[int]:
    """The numbers of the turns in which something is, from 1; 0 for those that are not known, or
    not yet: nobody waits until a long thread is read."""

    def work(state: "TurnState") -> list[int]:
        if state.partial:
            return [0] * len(found)
        by_id = {turn.id: number for number, turn in enumerate(state.turns, 1)}
        starts = [turn.start[:2] for turn in state.turns]
        parts = {part.path: number for number, part in enumerate(state.outline.parts)}
        return [
            by_id.get(each.turn_id)
            or bisect_right(starts, (parts.get(store.home / each.file, -1), each.offset))
            for each in found
        ]

    if not found:
        return []
    try:
        return await store.turns.ask(row["id"], store.home / row["rollout_path"], work)
    except (StateError, RolloutError, OSError):
        return [0] * len(found)
