"""How much a run tries: samples of the many cases of a kind, or all of them with ``--full``."""

import os
from typing import Any, Final

from hypothesis import settings

FULL: Final = "THREADKEEP_FULL"
"""In the environment of a full run, also of the processes that it makes."""


def is_full() -> bool:
    """Whether this run tries everything."""
    return FULL in os.environ


def examples(number: int, **options: Any) -> settings:
    """The settings of a property that ``number`` examples are tried of in a full run, and by
    default a part of them."""
    of_default = settings.default.max_examples  # type: ignore[union-attr]
    return settings(max_examples=max(5, number * of_default // 100), **options)
