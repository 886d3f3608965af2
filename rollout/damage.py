"""What ends a rollout before its end."""

from pathlib import Path
from typing import NamedTuple


class Damage(NamedTuple):
    """Where the content of a compressed rollout breaks off: nothing behind it can be read."""

    path: Path
    offset: int
    """How much content came before it, in bytes."""
    reason: str
