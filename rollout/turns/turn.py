"""The turns of a thread, found line by line (docs/rollout-format.md#turns-of-legacy-threads and
docs/rollout-format.md#turns-of-paginated-threads).

A reducer reads lines in order and keeps what a list of turns needs: their positions, states and
times, and references to their items; contents stay in the file. Its state can be saved at any
line and resumed from there: ``turns`` and ``orphans`` hold what it has found so far.
"""

import base64
from dataclasses import dataclass, field
from typing import Final, Protocol

from rollout.jsonl.parse import Item
from rollout.jsonl.reader import LineFilter
from rollout.schema.strict import Fields
from rollout.turns.item_refs import ItemRefs, Position

COMPLETED: Final = "completed"
FAILED: Final = "failed"
INTERRUPTED: Final = "interrupted"
IN_PROGRESS: Final = "inProgress"


@dataclass(slots=True)
class Turn:
    """One turn that the thread's history has."""

    id: str
    start: Position
    explicit: bool
    """Whether its beginning is written down; else the id is made up or it only has an end,
    or items."""
    root_id: str | None = None
    started_at: int | None = None
    completed_at: int | None = None
    duration_ms: int | None = None
    status: str = IN_PROGRESS
    """A turn without an end is :data:`IN_PROGRESS`. Only the process that runs it knows that;
    for others it was interrupted."""
    error: Fields | None = None
    """As responses have it."""
    end: Position | None = None
    """Behind the line that ends it; None if there is none."""
    first_user: int = -1
    """The record of the first message of a user among its items, -1 if there is none."""
    final_agent: int = -1
    """That of the agent's final message, -1 if there is none. In a paginated turn it is the one
    marked as the final answer, else the last one when the turn ended; later ones do not count."""
    last_agent: int = -1
    """That of the message that would be the final one if the turn ended now."""
    items: ItemRefs = field(default_factory=ItemRefs)

    def dump(self) -> Fields:
        """As JSON, for :meth:`load`."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {**values, "items": base64.b64encode(self.items.dump()).decode()}

    @classmethod
    def load(cls, dumped: Fields) -> "Turn":
        """What :meth:`dump` gave."""
        end = dumped["end"]
        return cls(
            **{
                **dumped,
                "start": Position(*dumped["start"]),
                "end": None if end is None else Position(*end),
                "items": ItemRefs.load(base64.b64decode(dumped["items"])),
            }
        )


class LineReducer(LineFilter, Protocol):
    """Takes a file line by line. It can be the ``needs`` of a
    :class:`rollout.jsonl.reader.LineReader`, which skips the lines that it has no use for and
    counts them."""

    def take(self, item: Item, before: Position, after: Position) -> None:
        """Look at the next line that is a JSON object, and the positions on both sides of it."""
        ...

    def pass_over(self, count: int, highest: int) -> None:
        """So many lines came before the next one, with ordinals up to ``highest``."""
        ...


class TurnReducer(LineReducer, Protocol):
    """Finds turns."""

    turns: list[Turn]
    orphans: dict[str, Turn]
    """Items of turns that never were, by the turn's id; only in paginated threads."""

    def dump(self) -> Fields:
        """What is needed to continue, besides ``turns`` and ``orphans``; JSON."""
        ...
