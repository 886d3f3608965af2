"""What stands beside a list: projects, tags and statuses, each a filter."""

from collections.abc import Mapping
from itertools import islice
from typing import Final, NamedTuple

from cli.web.listing.address import Address
from state.reports.counts import Counts
from state.userdata.marks import STATUSES

_FIRST: Final = 12
_MOST: Final = 200


class Choice(NamedTuple):
    """A filter that can be chosen."""

    text: str
    threads: int
    href: str
    chosen: bool


class Side(NamedTuple):
    """The choices of one filter."""

    title: str
    first: list[Choice]
    more: list[Choice]
    """Those that are seen when one asks for them."""


def sides(counts: Counts, address: Address) -> list[Side]:
    """What stands beside a list at this address."""
    statuses = {each: counts.statuses[each] for each in STATUSES if each in counts.statuses}
    every = (
        _side("Projects", "project", counts.projects, address),
        _side("Tags", "tag", counts.tags, address),
        _side("Status", "status", statuses, address),
    )
    return [side for side in every if side.first]


def _side(title: str, name: str, counts: Mapping[str, int], address: Address) -> Side:
    choices = [
        Choice(value, count, address.toggling(name, value), address.has(name, value))
        for value, count in islice(counts.items(), _MOST)
        if value.isprintable() and value.strip()
    ]
    first, more = choices[:_FIRST], choices[_FIRST:]
    first += [each for each in more if each.chosen]  # so that it can be taken back
    return Side(title, first, [each for each in more if not each.chosen])
