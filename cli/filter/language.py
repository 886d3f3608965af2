"""What is typed into the search box: words to search for, and filters.

Filters are the options of ``list``, and mean the same: they are read by the same code.
"""

import dataclasses
import difflib
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import typer

from cli.arguments.filters import Filters
from cli.filter.tokens import Token, quoted, tokens
from rollout.schema.session_source import SOURCE_KINDS
from state.errors import StateError
from state.query.model import Query
from state.userdata.marks import STATUSES


class Filter(NamedTuple):
    """What a text asks for."""

    words: str = ""
    """What is searched for, as ``search`` takes it."""
    without: tuple[str, ...] = ()
    """What threads must not hold; each as ``search`` takes it."""
    query: dict[str, Any] = {}  # noqa: RUF012 - which nobody changes
    """Fields for :class:`state.query.model.Query`."""
    problem: str = ""
    """What cannot be understood, at least not yet, and is left out."""
    file: str = ""
    """A part of the path of a file that threads have changed, as ``search --file`` takes it."""


class Known(NamedTuple):
    """What the index has, the likeliest first."""

    projects: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    """Only a fleet has some ..."""
    users: tuple[str, ...] = ()
    """... and users."""


class _UnknownOwnerError(ValueError):
    """The fleet has no such machine or user, so no threads of it."""


class Word(NamedTuple):
    """A filter that can be typed."""

    name: str
    option: str
    """The option of ``list`` that it is: its field in :class:`cli.arguments.filters.Filters`."""
    example: str
    help: str
    values: tuple[str, ...] = ()
    """What completion offers."""
    known: str = ""
    """The field of :class:`Known` that has its values."""


_TIMES: Final = ("today", "yesterday", "7d", "monday", "this-week", "last-week", "this-month", "1y")
WORDS: Final = (
    Word("project", "project", "project:api", "Of this project; project:. is that of this folder",
         known="projects"),
    Word("tag", "tag", "tag:later", "With this tag; repeated: with all of them", known="tags"),
    Word("status", "status", "status:todo", "Todo, doing, waiting or done", STATUSES),
    Word("is", "", "is:archived", "Archived, pinned, subagent or hidden",
         ("archived", "pinned", "subagent", "hidden")),
    Word("file", "", "file:app.py", "That changed a file with this in its path"),
    Word("since", "since", "since:7d", "Used since then: yesterday, monday, 2026-11", _TIMES),
    Word("until", "until", "until:last-week", "Used before then", _TIMES),
    Word("older", "older_than", "older:1y", "Not used for so long", ("7d", "30d", "6mo", "1y")),
    Word("model", "model", "model:gpt-5*", "Of this model", known="models"),
    Word("branch", "branch", "branch:feature/*", "On this git branch", known="branches"),
    Word("folder", "cwd", "folder:~/api", "In this folder or below", known="folders"),
    Word("provider", "provider", "provider:openai", "Of this model provider", known="providers"),
    Word("source", "source", "source:exec", "Started by: cli, vscode, exec, …", SOURCE_KINDS),
    Word("machine", "", "machine:laptop", "In a fleet: as this machine has it", known="machines"),
    Word("user", "", "user:anna", "In a fleet: of this user", known="users"),
    Word("tokens", "min_tokens", "tokens:>100k", "With so many tokens, or more",
         (">100k", ">1M", ">10M")),
    Word("size", "min_size", "size:>10M", "With a file of this size, or larger", (">1M", ">100M")),
)  # fmt: skip
"""All filters, in the order in which the screen of keys has them."""
_ALIASES: Final = {
    "cwd": "folder",
    "older-than": "older",
    "min-tokens": "tokens",
    "min-size": "size",
    "before": "until",
    "after": "since",
}
_NAMES: Final = {word.name: word for word in WORDS}
NAMES: Final = _NAMES | {alias: _NAMES[name] for alias, name in _ALIASES.items()}
_OPPOSITE: Final = {"since": "until", "until": "since"}
_TURNED: Final = ("is", "since", "until")
"""These can have a minus."""
_STATES: Final[dict[str, dict[str, Any]]] = {
    "archived": {"archived": True},
    "pinned": {"pinned": True},
    "subagent": {"source": ["subAgent"]},
    "hidden": {"all_sources": True},
}
_OTHER_STATES: Final[dict[str, dict[str, Any]]] = {
    "archived": {"archived": False},
    "pinned": {"pinned": False},
    "hidden": {"all_sources": False},
}
"""What they are with a minus."""
_OF_FLEETS: Final = ("machines", "users")
_MOST: Final = 20


def parse(text: str, now_s: float, known: Known | None = None) -> Filter:
    """What a text asks for; never an error, as it may be half typed.

    With ``known``, the case of values does not matter, and one at the end of the text, which may
    still be typed, means all values that begin so.
    """
    words: list[str] = []
    without: list[str] = []
    problems: list[str] = []
    filters, archived, file = Filters(), False, ""
    of_fleet: dict[str, Any] = {}
    for token in tokens(text, NAMES):
        if not token.name:
            if token.word.strip('"'):
                (without if token.minus else words).append(token.word)
            problems += _meant(token)
            continue
        word = NAMES[token.name]
        try:
            values = _values(word, token, known, typed=token.end == len(text))
            if word.name == "file" and not token.minus:
                if known is not None and known.machines:
                    raise ValueError("a fleet does not know which files threads have changed")
                file = values[0]
                continue
            if word.name == "machine" and not token.minus:
                of_fleet["machine"] = values[0]
                continue
            if word.name == "user" and not token.minus:
                of_fleet["users"] = (*of_fleet.get("users", ()), *values)
                continue
            given = dict(_given(word, token, values))
            archived_now = bool(given.pop("archived", archived))
            more = filters._replace(**{name: _added(filters, name, given[name]) for name in given})
            more.query(now_s)
        except (typer.BadParameter, StateError, ValueError) as error:
            if isinstance(error, _UnknownOwnerError):
                of_fleet["included_ids"] = ()
            problems.append(f"{'-' * token.minus}{token.name}: {_reason(error)}")
        else:
            filters, archived = more, archived_now
    found = filters.query(now_s, archived=archived)
    fields = {field.name: getattr(found, field.name) for field in dataclasses.fields(Query)}
    query = {name: value for name, value in fields.items() if value != _USUAL[name]} | of_fleet
    return Filter(" ".join(words), tuple(without), query, "; ".join(problems), file)


def _reason(error: Exception) -> str:
    """What is wrong with a value, in the words of filters."""
    text = str(getattr(error, "message", error)).partition("\n")[0]
    text = re.sub(r"^--[a-z-]+: ", "", text)
    return re.sub(r"--([a-z]+)(?:-than)?\b:?", r"\1:", text)


_USUAL: Final = {field.name: field.default for field in dataclasses.fields(Query)}


def _values(word: Word, token: Token, known: Known | None, *, typed: bool) -> list[str]:
    """What the value of a filter may be, which may still be ``typed``. Raises ValueError if there
    is none yet."""
    value = token.value.strip()
    if not value:
        raise ValueError(f"add a value, as in {word.example}")
    if word.option in ("min_tokens", "min_size"):
        return [value.removeprefix(">").removeprefix("=")]
    if word.option == "cwd":
        return [os.path.expanduser(value)]
    if word.values:
        same = [each for each in word.values if each.lower() == value.lower()]
        return same or [value]
    if known is None or not word.known:
        return [value]
    every: tuple[str, ...] = getattr(known, word.known)
    same = [each for each in every if each.casefold() == value.casefold()]
    begun = [each for each in every if typed and each.casefold().startswith(value.casefold())]
    if word.known in _OF_FLEETS:
        if not known.machines:
            raise ValueError("only a fleet has machines and users: add --fleet")
        if not (same or begun):
            raise _UnknownOwnerError(f"the fleet has no {word.name} {value}")
        return same or begun[:1]
    if begun and not same and word.name == "tag":  # a thread must have all of several
        raise ValueError(f"{', '.join(begun[:3])}{', …' if len(begun) > 3 else ''}?")
    return [value] if value in same else same or [value, *begun]


def _given(word: Word, token: Token, values: list[str]) -> Iterator[tuple[str, Any]]:
    """The filters of ``list`` that a token is, with their values. Raises ValueError if it is
    none."""
    option = word.option
    if word.name == "is":
        state = (_OTHER_STATES if token.minus else _STATES).get(values[0].lower())
        if state is None:
            raise ValueError(f"use {', '.join(_OTHER_STATES if token.minus else _STATES)}")
        yield from state.items()
        return
    if token.minus:
        if option not in _OPPOSITE:
            raise ValueError("this filter cannot be turned around")
        option = _OPPOSITE[option]
    yield option, values if option in _SEVERAL else values[0]


_SEVERAL: Final = {
    name for name, kind in Filters.__annotations__.items() if "list[str]" in str(kind)
}


def _added(filters: Filters, name: str, value: Any) -> Any:
    return [*(getattr(filters, name) or ()), *value] if isinstance(value, list) else value


def _meant(token: Token) -> Iterator[str]:
    """Which filter a word may be meant for that is called nearly so."""
    name, colon, value = token.word.partition(":")
    if colon and value and not value.startswith("/"):
        close = difflib.get_close_matches(name.lower(), _NAMES, 1, 0.75)
        yield from (f"{name}: is no filter; {each}: is one" for each in close)


def completions(text: str, cursor: int, known: Known) -> list[str]:
    """The filters that may be typed where the cursor is, each as a whole token, for
    :func:`completed`; those that begin with what is there come first."""
    token = _at(text, cursor)
    if token is None:
        return []
    minus = "-" * token.minus
    if token.minus and token.name and token.name not in _TURNED:
        return []
    if token.name:
        word = NAMES[token.name]
        every: Iterable[str] = word.values or (getattr(known, word.known) if word.known else ())
        if word.name == "is" and token.minus:
            every = _OTHER_STATES
        begun = token.value.casefold()
        found = [each for each in every if begun in each.casefold() and each.casefold() != begun]
        found.sort(key=lambda each: not each.casefold().startswith(begun))
        name = token.text[: token.text.index(":") + 1]
        return [f"{name}{quoted(each)}" for each in found[:_MOST]]
    begun = token.word.lower()
    if len(begun) < 2 and not (token.minus and begun):
        return []
    fit = [word.name for word in WORDS if word.name.startswith(begun)]
    return [f"{minus}{name}:" for name in fit if not minus or name in _TURNED]


def completed(text: str, cursor: int, token: str) -> str:
    """The text with one of its completions."""
    found = _at(text, cursor)
    return text if found is None else text[: found.start] + token + text[found.end :]


def end_of_completed(text: str, cursor: int, token: str) -> int:
    """Where a completion ends in the text with it."""
    found = _at(text, cursor)
    return cursor if found is None else found.start + len(token)


def _at(text: str, cursor: int) -> Token | None:
    """The token that ends where the cursor is, or that the cursor is in."""
    return next((each for each in tokens(text, NAMES) if each.start < cursor <= each.end), None)
