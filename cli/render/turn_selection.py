"""Which turns of a thread are meant, as one writes it on the command line."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rollout.errors import AmbiguousTurn, TurnNotFound

_SHORTEST_PREFIX: Final = 4
_NUMBERS: Final = re.compile(r"(-?\d{1,18})(?:(-)(-?\d{1,18})?)?")


@dataclass(frozen=True, slots=True)
class TurnSelection:
    """Which turns of a thread."""

    turn: str | None = None
    """The id of one, a unique prefix of it, its number from 1, numbers from one to another
    (``290-295``) or to the end (``290-``); or several of these, with commas. Negative numbers count
    from the end. Digits are a number if there is such a turn."""
    last: int | None = None
    """Only so many of the last."""

    def among(self, ids: Sequence[str]) -> Sequence[int]:
        """Their positions in ``ids``, which are those of all turns, in order. Raises AmbiguousTurn
        if several ids have a prefix, and TurnNotFound if there is no such turn."""
        if self.turn is None:
            return range(max(0, len(ids) - self.last) if self.last else 0, len(ids))
        parts = [] if self.turn in ids else [*filter(None, self.turn.split(","))]
        if len(parts) < 2:
            return _places((parts or [self.turn])[0], ids)
        return sorted({place for each in parts for place in _places(each.strip(), ids)})


def _places(turn: str, ids: Sequence[str]) -> Sequence[int]:
    found: Sequence[int] = [at for at, id_ in enumerate(ids) if id_ == turn]
    numbers = None if found else _NUMBERS.fullmatch(turn)
    if numbers:
        found = _numbered(numbers, len(ids))
    if not found:
        found = [at for at, id_ in enumerate(ids) if id_.startswith(turn)]
        short = len(turn) < _SHORTEST_PREFIX
        fitting = len({ids[at] for at in found})
        if short and numbers:  # it was meant as a number
            raise TurnNotFound(turn, ids)
        if fitting > 1:
            raise AmbiguousTurn(turn, fitting)
        if short:
            found = []
    if not found:
        raise TurnNotFound(turn, ids)
    return found


def _numbered(numbers: re.Match[str], count: int) -> Sequence[int]:
    """The places of these numbers among so many turns; none if the first is no turn's."""
    first = _place(int(numbers[1]), count)
    last = first
    if numbers[2]:
        last = min(_place(int(numbers[3]), count) if numbers[3] else count, count - 1)
    return range(first, last + 1) if 0 <= first < count else ()


def _place(number: int, count: int) -> int:
    """The place of a number; -1 for 0, which is none."""
    return number - 1 if number >= 0 else max(count + number, -1)


def ranges(places: Iterable[int]) -> str:
    """Places as numbers that a selection takes: ``3,7,290-295``."""
    found: list[list[int]] = []
    for place in places:
        if found and found[-1][1] == place:
            found[-1][1] = place + 1
        else:
            found.append([place + 1, place + 1])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in found)
