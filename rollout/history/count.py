"""When the turns of threads began, of their own: those that a history has from another thread count
there. Module-level and picklable, so that it can run in another process."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final, NamedTuple

from rollout.errors import Damage, RolloutError
from rollout.files.layout import parse_name, parse_uuid
from rollout.history.thread import Outline, outline, reduce_file, reduce_part
from rollout.jsonl.parse import Item
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.schema.times import time_ms
from rollout.turns.bare import BARE
from rollout.turns.item_refs import Position
from rollout.turns.turn import Turn, TurnReducer

_HOUR_S: Final = 3600
_HOUR_MS: Final = _HOUR_S * 1000
_NO_SECONDS: Final = 10**12
"""A time since 1970 that is so large is no time in seconds."""


class ThreadFiles(NamedTuple):
    """The file of a thread, and all others that it has, relative to the home."""

    path: str
    others: tuple[str, ...] = ()


class TurnCount(NamedTuple):
    """The turns of one thread as far as it reads, or why they cannot be counted."""

    hours: tuple[int | None, ...]
    """For each turn the hour since 1970 in which it began, None if that is not known."""
    problem: str = ""


def turn_counts(home: str, threads: Sequence[ThreadFiles]) -> list[TurnCount]:
    """The turns of each of the threads below ``home``."""
    return [_count(Path(home), thread) for thread in threads]


def _count(home: Path, thread: ThreadFiles) -> TurnCount:
    own = {}
    for path in thread.others:
        name = parse_name(path)
        if name and name.rollout_id:
            own[name.rollout_id] = home / path
    try:
        known = outline(home / thread.path, own.get)
        found = _hours(known)
        if not found.hours and known.mode == LEGACY:  # as those of the first versions
            found = _hours(Outline(BARE, known.parts, None, 0))
    except (RolloutError, OSError) as error:
        return TurnCount((), str(error))
    return found


def _hours(known: Outline) -> TurnCount:
    damage: list[Damage] = []
    reducer = known.new_reducer()
    dated = _Dated(reducer)
    for number, part in enumerate(known.parts):
        if known.mode == PAGINATED:  # its turns say when they began
            reduce_part(part, number, reducer, damage=damage)
        else:
            reduce_file(part.path, dated, damage=damage)
    problem = f"{damage[0].reason} (at byte {damage[0].offset:,})" if damage else ""
    name = parse_name(known.parts[-1].path.name)
    born = _made_ms(name.thread_id if name else None)
    hours = [
        _hour_of(turn, hour)
        for turn, hour in zip_longest(reducer.turns, dated.hours)
        if _made_ms(turn.id) is None or born is None or (_made_ms(turn.id) or 0) >= born
    ]
    return TurnCount(tuple(hours), problem)


def _made_ms(id_: str | None) -> int | None:
    """When an id was made, if it tells. A turn that is older than its thread was copied into it."""
    known = parse_uuid(id_)
    return int(known[:8] + known[9:13], 16) if known and known[14] == "7" else None


class _Dated:
    """A reducer that notes the hour of the line that each turn begins with."""

    def __init__(self, reducer: TurnReducer) -> None:
        self._reducer = reducer
        self.skip = reducer.skip
        self.turns, self.orphans = reducer.turns, reducer.orphans
        self.hours: list[int | None] = []
        self.pass_over, self.dump = reducer.pass_over, reducer.dump

    def take(self, item: Item, before: Position, after: Position) -> None:
        self._reducer.take(item, before, after)
        del self.hours[len(self.turns) :]  # turns that were rolled back
        while len(self.hours) < len(self.turns):
            stamp = item.get("timestamp")
            written_ms = time_ms(stamp) if isinstance(stamp, str) else None
            self.hours.append(None if written_ms is None else written_ms // _HOUR_MS)


def _hour_of(turn: Turn, written: int | None) -> int | None:
    if turn.started_at is None or abs(turn.started_at) >= _NO_SECONDS:
        return written
    return turn.started_at // _HOUR_S
