"""A class of differences between Codex's app-server and ours, and how to say which they are."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.protocol.compare import Difference

Matcher = Callable[[Any], bool]


def anything(_: Any) -> bool:
    """Everything matches."""
    return True


def is_one_of(*values: Any) -> Matcher:
    """Matches one of these values."""
    return lambda found: any(found == value and type(found) is type(value) for value in values)


def error(code: int, words: str) -> Matcher:
    """Matches an answer with this error."""

    def matches(said: Any) -> bool:
        if not isinstance(said, dict) or not isinstance(said.get("error"), dict):
            return False
        return said["error"]["code"] == code and words in said["error"]["message"]

    return matches


def is_result(said: Any) -> bool:
    """Matches an answer with a result."""
    return isinstance(said, dict) and isinstance(said.get("result"), dict)


def text(pattern: str) -> Matcher:
    """Matches a text of this pattern."""
    return lambda found: isinstance(found, str) and bool(re.fullmatch(pattern, found))


def is_number(found: Any) -> bool:
    """Matches a number."""
    return isinstance(found, int) and not isinstance(found, bool)


def is_methods(*methods: str) -> Matcher:
    """Matches these methods, in this order."""
    return is_one_of(list(methods))


@dataclass(frozen=True)
class Known:
    """A class of differences. ``method``, ``path`` and ``steps`` are patterns of the whole text;
    in a path the numbers of items count as ``[]``."""

    told: str
    """What docs/differences.md says of it, in the first column."""
    method: str
    kind: str
    path: str = ""
    expected: Matcher = field(default=anything)
    found: Matcher = field(default=anything)
    steps: str = ".*"

    def matches(self, one: Difference) -> bool:
        """Whether ``one`` is of this class."""
        path = re.sub(r"\[\d+\]", "[]", one.path)
        return (
            re.fullmatch(self.method, one.method) is not None
            and one.kind == self.kind
            and re.fullmatch(self.path, path) is not None
            and re.fullmatch(self.steps, one.step) is not None
            and self.expected(one.expected)
            and self.found(one.found)
        )

    def __str__(self) -> str:
        return f"{self.told}: {self.method} {self.kind} {self.path} in {self.steps}"


ID: Final = r"[0-9a-f-]{36}|<[a-z0-9 ]+>"
LIST: Final = "thread/list"
THREAD: Final = r"(?:result|thread/started\.params)\.thread\."
OF_A_THREAD: Final = r"result\.data\[\]\."
BEGINS: Final = "thread/(?:start|resume|fork)"
MADE_HERE: Final = ".*(?:new|bare|ephemeral|deaf).*"
NOW: Final = is_one_of("<now>")
NULL: Final = is_one_of(None)
