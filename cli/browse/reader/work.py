"""Work beside the screen, which several parts of the reader begin, and what it may raise."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from textual.dom import DOMNode

from rollout.errors import RolloutError
from state.errors import StateError
from state.turns.cache import Closed

TROUBLE: Final = (RolloutError, StateError, OSError, Closed)
"""What reading a thread may raise."""
Trouble = RolloutError | StateError | OSError | Closed


def begin(
    node: DOMNode,
    work: Callable[[], Coroutine[Any, Any, None]],
    group: str,
    *,
    instead: bool = False,
) -> None:
    """Begin work that ends with a part of the screen; ``instead`` of what that does in the same
    group. If the part is closed before, it is not even begun."""
    made: Any = work  # which Textual's types do not take
    node.run_worker(made, group=group, exclusive=instead)
