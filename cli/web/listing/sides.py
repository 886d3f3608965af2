"""What stands beside a list: times, projects, tags and statuses, each a filter."""

from collections.abc import Mapping
from itertools import islice
from typing import Final, NamedTuple

from cli.filter.language import Known
from cli.web.listing.address import SORTS, Address
from state.reports.counts import Counts
from state.userdata.marks import STATUSES

_FIRST: Final = 12
_MOST: Final = 200
_TIMES: Final = {
    "today": "today",
    "yesterday": "since yesterday",
    "7d": "in 7 days",
    "30d": "in 30 days",
}


class Choice(NamedTuple):
    """A filter that can be chosen."""

    text: str
    threads: int | None
    """None where they are not counted."""
    href: str
    chosen: bool


class Side(NamedTuple):
    """The choices of one filter."""

    title: str
    first: list[Choice]
    more: list[Choice]
    """Those that are seen when one asks for them."""


def sides(known: Known, counts: Counts, address: Address) -> list[Side]:
    """What stands beside a list at this address."""
    statuses = {each: counts.statuses[each] for each in STATUSES if each in counts.statuses}
    times = [
        Choice(text, None, address.choosing("since", value), address.has("since", value))
        for value, text in _TIMES.items()
    ]
    every = (
        Side(SORTS[address.sort].capitalize(), times, []),
        _side("Projects", "project", counts.projects, address),
        _side("Tags", "tag", counts.tags, address),
        _side("Status", "status", statuses, address),
        _side("Machines", "machine", dict.fromkeys(known.machines), address),
        _side("Users", "user", dict.fromkeys(filter(None, known.users)), address),
    )
    return [side for side in every if side.first] if counts.projects or known.machines else []


def _side(title: str, name: str, counts: Mapping[str, int | None], address: Address) -> Side:
    choices = [
        Choice(value, count, address.toggling(name, value), address.has(name, value))
        for value, count in islice(counts.items(), _MOST)
        if value.isprintable() and value.strip()
    ]
    first, more = choices[:_FIRST], choices[_FIRST:]
    first += [each for each in more if each.chosen]  # so that it can be taken back
    return Side(title, first, [each for each in more if not each.chosen])
