"""How many turns rollouts have, of their own: what a history begins with in another file counts
there. Module-level and picklable, so that it can run in another process."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rollout.errors import Damage, DamagedCompression, HistoryIncomplete, RolloutError
from rollout.history.bare import BARE, BareReducer
from rollout.history.segments import source_meta
from rollout.history.thread import Outline, reduce_file
from rollout.schema.modes import LEGACY, MODES
from rollout.schema.strict import Fields


class TurnCount(NamedTuple):
    """The turns of one file as far as it reads, or why they cannot be counted."""

    turns: int
    problem: str = ""


def turn_counts(home: str, paths: Sequence[str]) -> list[TurnCount]:
    """The turns of each of the rollouts at ``paths``, relative to ``home``."""
    return [_count(Path(home, path)) for path in paths]


def _count(path: Path) -> TurnCount:
    damage: list[Damage] = []
    try:
        meta = _meta(path)
        mode = BARE if meta is None else meta.get("history_mode", LEGACY)
        if mode not in (BARE, *MODES):
            return TurnCount(0, f"the history mode {mode!r} is not known here")
        start = (meta or {}).get("subagent_history_start_ordinal")
        known = Outline(mode, [], None, start if isinstance(start, int) else 0)
        reducer = known.new_reducer()
        reduce_file(path, reducer, damage=damage)
        if mode == LEGACY and not reducer.turns:
            reducer = BareReducer()
            reduce_file(path, reducer, damage=damage)
    except (RolloutError, OSError) as error:
        return TurnCount(0, str(error))
    problem = f"{damage[0].reason} (at byte {damage[0].offset:,})" if damage else ""
    return TurnCount(len(reducer.turns), problem)


def _meta(path: Path) -> Fields | None:
    try:
        return source_meta(path)
    except (DamagedCompression, HistoryIncomplete):  # or a file of the first versions
        return None
