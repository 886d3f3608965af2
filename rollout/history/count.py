"""How many turns rollouts have, of their own: what a history begins with in another file counts
there. Module-level and picklable, so that it can run in another process."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rollout.errors import Damage, DamagedCompression, HistoryIncomplete, RolloutError
from rollout.history.bare import BARE, BareReducer
from rollout.history.legacy import LegacyReducer
from rollout.history.paginated import PaginatedReducer
from rollout.history.segments import source_meta
from rollout.history.thread import reduce_file
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.schema.strict import Fields


class TurnCount(NamedTuple):
    """The turns of one file as far as it reads, or why they cannot be counted."""

    turns: int
    problem: str = ""


def turn_counts(home: str, paths: Sequence[str]) -> list[TurnCount]:
    """The turns of each of the rollouts at ``paths``, relative to ``home``."""
    return [_count(Path(home, path)) for path in paths]


def _count(path: Path) -> TurnCount:
    try:
        meta = _meta(path)
        mode = BARE if meta is None else meta.get("history_mode", LEGACY)
        damage: list[Damage] = []
        if mode == PAGINATED:
            start = (meta or {}).get("subagent_history_start_ordinal")
            reducer = PaginatedReducer(shown_from=start if isinstance(start, int) else 0)
            reduce_file(path, reducer, damage=damage)
            return TurnCount(len(reducer.turns), _problem(damage))
        if mode == LEGACY:
            legacy = LegacyReducer()
            reduce_file(path, legacy, damage=damage)
            if legacy.turns:
                return TurnCount(len(legacy.turns), _problem(damage))
        elif mode != BARE:
            return TurnCount(0, f"the history mode {mode!r} is not known here")
        bare = BareReducer()
        reduce_file(path, bare, damage=damage)
        return TurnCount(len(bare.turns), _problem(damage))
    except (RolloutError, OSError) as error:
        return TurnCount(0, str(error))


def _problem(damage: list[Damage]) -> str:
    return f"{damage[0].reason} (at byte {damage[0].offset:,})" if damage else ""


def _meta(path: Path) -> Fields | None:
    try:
        return source_meta(path)
    except (DamagedCompression, HistoryIncomplete):  # or a file of the first versions
        return None
