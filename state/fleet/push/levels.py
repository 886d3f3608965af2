"""What each level sends of threads besides their rows."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from state.db.steps import Steps
from state.fleet.push.batch import LEVELS, Content
from state.fleet.push.outbox import membership_steps

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex


def contents_of(
    level: str, index: "ThreadIndex", redact: Callable[[str], str]
) -> tuple[Content, ...]:
    """What is sent besides rows at a level."""
    found: list[Content] = []
    if level in LEVELS[1:]:
        from state.fleet.push.text import TextContent

        found.append(TextContent(index, redact))
    if level == LEVELS[2]:
        from state.fleet.push.raw import RawContent

        found.append(RawContent(index))
    return tuple(found)


def last_level_steps(fleet: str) -> Steps[str]:
    """The level of the last push into a fleet; the lowest if there was none."""
    here = yield from membership_steps()
    return here.level if here.fleet == fleet and here.level in LEVELS else LEVELS[0]
