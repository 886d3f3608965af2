"""Why a report on the use of tokens has nothing to show."""

from dataclasses import replace
from typing import NamedTuple

from state.db.steps import Steps
from state.query.listing import selected_steps
from state.reports.stats import Asked, Span, extent_steps


class Unused(NamedTuple):
    """What there is where nothing was used in a span."""

    threads: int
    """Threads that the filters choose, with token counts or without."""
    hours: tuple[int, int] | None
    """The first and the last hour of what they used at any time; None if there is none."""


def unused_steps(asked: Asked) -> Steps[Unused]:
    """What there is outside of the span that ``asked`` asks for."""
    where, parameters = yield from selected_steps(asked.query, archived=asked.archived)
    counted = yield f"SELECT count(*) FROM threads WHERE {where}", parameters
    used = yield from extent_steps(replace(asked, span=Span()))
    hours = (used.first, used.last) if used.threads else None
    if (asked.query.providers or asked.query.models) and hours is None:
        return Unused(0, None)  # it chooses what was used, not threads
    return Unused(counted[0][0], hours)
