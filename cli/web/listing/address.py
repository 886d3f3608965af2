"""The address of a list: it says all that the list shows."""

from typing import Final, NamedTuple
from urllib.parse import urlencode

from cli.filter.language import NAMES
from cli.filter.tokens import holds, quoted, with_filter, without_filter, without_name

SORTS: Final = {"recency": "last used", "updated": "last changed", "created": "created"}
"""What a list can be sorted by, and what people call it."""
USUAL_SORT: Final = "recency"
LONGEST: Final = 2_000
"""Characters of a text that are read; more than a person types."""


class Address(NamedTuple):
    """What a list shows."""

    text: str = ""
    """What stands in the box."""
    sort: str = USUAL_SORT

    def href(self, cursor: str = "", path: str = "/") -> str:
        """The address, from a cursor on."""
        given = {
            "q": self.text.strip(),
            "sort": self.sort if self.sort != USUAL_SORT else "",
            "cursor": cursor,
        }
        query = urlencode({name: value for name, value in given.items() if value})
        return f"{path}?{query}" if query else path

    def sorted_by(self, sort: str) -> str:
        """The address in another order."""
        return self._replace(sort=sort).href()

    def has(self, name: str, value: str) -> bool:
        """Whether it has a filter."""
        return holds(self.text, _filter(name, value), NAMES)

    def adding(self, name: str, value: str) -> str:
        """The address with one more filter."""
        text = with_filter(self.text, _filter(name, value), NAMES)
        return self._replace(text=text).href()

    def removing(self, name: str, value: str) -> str:
        """The address without a filter."""
        text = without_filter(self.text, _filter(name, value), NAMES)
        return self._replace(text=text).href()

    def choosing(self, name: str, value: str) -> str:
        """The address with this filter alone of its name; without it if it has it."""
        if self.has(name, value):
            return self.removing(name, value)
        other = self._replace(text=without_name(self.text, name, NAMES))
        return other.adding(name, value)

    def toggling(self, name: str, value: str) -> str:
        """The address without a filter if it has it, else with it."""
        return (self.removing if self.has(name, value) else self.adding)(name, value)


def _filter(name: str, value: str) -> str:
    return f"{name}:{quoted(value)}"
