"""What is used now, without bringing the whole index up to date."""

import time
from typing import TYPE_CHECKING, Final

from cli.arguments.locations import Locations
from cli.runtime.in_step import in_step
from state.prices.current import price_lists, rates_are_current_steps
from state.reports.calendar import Calendar
from state.reports.now import Now, now_steps
from state.reports.recent import Recent, recent_steps

if TYPE_CHECKING:
    from state.db.steps import Steps
    from state.thread_index import ThreadIndex

_DAY_S: Final = 86_400


def usage_now(here: Locations, calendar: Calendar, now_s: float) -> tuple[Now, list[str]]:
    """What is used now, and why that may be incomplete. The index catches up if more has changed
    than can be read quickly."""
    steps = _quick_steps(here, calendar, now_s)
    if found := in_step(here, lambda reader: reader.read(steps), scan=False):
        return found, []
    from cli.runtime.open_index import catch_up_with_prices, read_index

    async def work(index: "ThreadIndex") -> tuple[Now, list[str]]:
        notes = await catch_up_with_prices(index)
        return await index.database.query(now_steps(calendar, now_s, Recent({}))), notes

    return read_index(here, work)


def _quick_steps(here: Locations, calendar: Calendar, now_s: float) -> "Steps[Now | None]":
    """What is used now, with what recent files say beyond the index; None if it has to catch up."""
    if not (yield from rates_are_current_steps(price_lists(here.index))):
        return None
    recent = yield from recent_steps(here.home, _folders(now_s))
    return None if recent is None else (yield from now_steps(calendar, now_s, recent))


def _folders(now_s: float) -> list[str]:
    """Where Codex puts the files of today and yesterday, which are local days."""
    days = (now_s - _DAY_S, now_s)
    found = [time.strftime("%Y/%m/%d", at(s)) for s in days for at in (time.gmtime, time.localtime)]
    return [*dict.fromkeys(found)]
