"""A thread that was resumed in another file: each response counts once."""

from pathlib import Path
from typing import Any

import pytest

from rollout.usage.copies import usage_of_copies
from rollout.usage.model import Tokens
from tests.samples.rollouts import THREAD_ID, event, meta, turn
from tests.usage.spending import counts, encoded

Line = dict[str, Any]
FIRST, SECOND = "2026-10-15T08-00-00", "2026-10-16T08-00-00"


def begun(day: int) -> Line:
    return {**meta(), "timestamp": f"2026-10-{day}T08:00:00.000Z"}


def turns(*totals: int, before: int = 0, stamp: str = "") -> list[Line]:
    """Turns of 110 tokens and more each; without a stamp, a turn each minute."""
    lines = []
    for number, total in enumerate(totals):
        at = stamp or f"2026-10-15T08:{total % 60:02}"
        use = Tokens(100 + number, 0, 0, 10, 0, 110 + number)
        before += use.total
        info = {"total_token_usage": counts(Tokens(total=before)), "last_token_usage": counts(use)}
        lines += [
            {**turn(turn_id=f"t{total}"), "timestamp": stamp or f"{at}:01.000Z"},
            {**event("token_count", info=info), "timestamp": stamp or f"{at}:09.000Z"},
        ]
    return lines


def used(home: Path, first: list[Line], second: list[Line]) -> list[tuple[int, int, int]]:
    """The hour of the day, tokens and responses of each row."""
    paths = []
    for stamp, lines in ((SECOND, second), (FIRST, first)):
        paths.append(f"rollout-{stamp}-{THREAD_ID}.jsonl")
        (home / paths[-1]).write_bytes(encoded(lines))
    rows = usage_of_copies(home, paths).rows
    return sorted((key.hour % 24, sums.total, sums.responses) for key, sums in rows.items())


@pytest.mark.parametrize("stamp", ["", "2026-10-16T09:00:00.000Z"])
def test_lines_that_were_copied_count_once_when_they_were_written(
    tmp_path: Path, stamp: str
) -> None:
    first = [begun(15), *turns(1, 2, 3)]
    copied = [begun(16), *turns(1, 2, 3, stamp=stamp)]
    assert used(tmp_path, first, copied) == [(8, 333, 3)]


def test_half_of_the_lines_that_were_copied_count_once(tmp_path: Path) -> None:
    first = [begun(15), *turns(1, 2, 3)]
    assert used(tmp_path, first, [begun(16), *first[-2:]]) == [(8, 333, 3)]


def test_a_counter_that_goes_on_in_another_file_tells_what_is_new(tmp_path: Path) -> None:
    first, second = [begun(15), *turns(1, 2, 3)], [begun(16), *turns(4, before=333)]
    assert used(tmp_path, first, second) == [(8, 443, 4)]


def test_the_same_counts_in_another_file_are_other_responses(tmp_path: Path) -> None:
    first, again = [begun(15), *turns(1)], [begun(16), *turns(1)]
    again[-1]["timestamp"] = "2026-10-15T08:01:10.000Z"
    assert used(tmp_path, first, again) == [(8, 220, 2)]
