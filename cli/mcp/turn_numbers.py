"""The numbers of turns that are known by their ids."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rollout.errors import RolloutError
from state.errors import StateError

if TYPE_CHECKING:
    from state.query.rows import Row
    from state.thread_store import ThreadStore
    from state.turns.checkpoint import TurnState


async def turn_numbers(
    store: "ThreadStore", row: "Row", turn_ids: Sequence[str | None]
) -> dict[str, int]:
    """The numbers of some turns of a thread, from 1, by id; without those that are not known, or
    not yet: nobody waits until a long thread is read."""

    def work(state: "TurnState") -> dict[str, int]:
        wanted = {*turn_ids} if not state.partial else set[str | None]()
        return {turn.id: at for at, turn in enumerate(state.turns, 1) if turn.id in wanted}

    if not any(turn_ids):
        return {}
    try:
        return await store.turns.ask(row["id"], store.home / row["rollout_path"], work)
    except (StateError, RolloutError, OSError):
        return {}
