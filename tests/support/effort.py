"""How much a run tries, samples of the cases of a kind or all of them with ``--full``, and how long
it waits."""

import os
from collections.abc import Iterable
from datetime import date
from typing import Any, Final, TypeVar

from hypothesis import settings

Case = TypeVar("Case")

PATIENCE_S: Final = 240.0
"""How long a test waits for what must come, in seconds; how soon it comes, no test judges. What
hangs fails by this, a little before pytest ends all of the process."""
FULL: Final = "THREADKEEP_FULL"
"""In the environment of a full run, also of the processes that it makes."""


def is_full() -> bool:
    """Whether this run tries everything."""
    return FULL in os.environ


def seed() -> int:
    """What chooses the samples: the number of the day; ``THREADKEEP_CRASH_SEED`` repeats one."""
    return int(os.environ.get("THREADKEEP_CRASH_SEED") or date.today().toordinal())


def sample(cases: Iterable[Case]) -> list[Case]:
    """All cases in a full run; else every seventh, from one that the day chooses, so that a week
    takes all of them."""
    every = [*cases]
    return every if is_full() else every[seed() % min(7, len(every)) :: 7]


def examples(number: int, **options: Any) -> settings:
    """The settings of a property that ``number`` examples are tried of in a full run, and by
    default a part of them."""
    of_default = settings.default.max_examples  # type: ignore[union-attr]
    return settings(max_examples=max(5, number * of_default // 100), **options)
