"""The words and filters of a text: ``webhook -draft project:"my app"``."""

import re
from collections.abc import Container
from typing import Final, NamedTuple

_QUOTED: Final = re.compile(
    r"""(?P<quote>["'])(?P<text>(?:\\[\\"']|(?!(?P=quote)).)*)(?P<end>(?P=quote))?""", re.DOTALL
)
_NAMED: Final = re.compile(r"-?(?P<name>[a-z]+(?:-[a-z]+)*):", re.IGNORECASE | re.ASCII)


class Token(NamedTuple):
    """A word, or a filter."""

    start: int
    end: int
    text: str
    """As it is typed."""
    minus: bool
    name: str
    """What stands before the colon, in lower case; empty for a word."""
    value: str
    """Without quotes, if it is that of a filter."""

    @property
    def word(self) -> str:
        """The token as a word to search for, without a minus."""
        return self.text[self.minus :]


def tokens(text: str, names: Container[str]) -> list[Token]:
    """The words of a text, and the filters that have one of these ``names``.

    Double quotes hold words together, and for the values of filters single ones, too, as in a
    shell. They need not be closed."""
    found = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token = _token(text, at, names)
        found.append(token)
        at = token.end
    return found


def _token(text: str, at: int, names: Container[str]) -> Token:
    if (named := _NAMED.match(text, at)) and named["name"].lower() in names:
        end, value = _value(text, named.end())
        return Token(at, end, text[at:end], text[at] == "-", named["name"].lower(), value)
    minus = text[at] == "-" and not text.startswith("--", at)
    end = at
    while end < len(text) and not text[end].isspace():
        closing = text.find('"', end + 1) if text[end] == '"' else end
        end = closing + 1 if closing >= 0 else len(text)
    return Token(at, end, text[at:end], minus, "", "")


def _value(text: str, at: int) -> tuple[int, str]:
    """Where the value of a filter ends that begins at a place, and the value."""
    if quoted := _QUOTED.match(text, at):
        value = re.sub(r"""\\([\\"'])""", r"\1", quoted["text"])
        return quoted.end(), value
    end = at
    while end < len(text) and not text[end].isspace():
        end += 1
    return end, text[at:end]


def quoted(value: str) -> str:
    """The value of a filter as it is typed."""
    if value and not re.search(r"\s", value) and value[0] not in "\"'":
        return value
    return '"{}"'.format(re.sub(r'([\\"])', r"\\\1", value))


def holds(text: str, filter_: str, names: Container[str]) -> bool:
    """Whether a text has a filter, whatever the case of its letters and its quotes."""
    return any(_same(token, filter_, names) for token in tokens(text, names))


def with_filter(text: str, filter_: str, names: Container[str]) -> str:
    """A text with one more filter at its end, unless it has that already."""
    text = text.strip()
    if holds(text, filter_, names):
        return text
    # What is quoted and still open would take the filter in.
    added = (f"{text}{closing} {filter_}".strip() for closing in ("", '"', "'"))
    return next((each for each in added if holds(each, filter_, names)), text)


def without_filter(text: str, filter_: str, names: Container[str]) -> str:
    """A text without a filter."""
    kept = [each.text for each in tokens(text, names) if not _same(each, filter_, names)]
    return " ".join(kept)


def without_name(text: str, name: str, names: Container[str]) -> str:
    """A text without all filters of a name, turned around or not."""
    return " ".join(each.text for each in tokens(text, names) if each.name != name)


def _same(token: Token, filter_: str, names: Container[str]) -> bool:
    """Whether a token is this filter."""
    other = tokens(filter_, names)[0]
    same = (token.name, token.minus) == (other.name, other.minus)
    return bool(token.name) and same and token.value.casefold() == other.value.casefold()
