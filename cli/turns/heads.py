"""What a reader knows of turns: their heads, their outline, and parts of them."""

from typing import Generic, NamedTuple, TypeVar

Key = tuple[int, int]
"""A block of a turn: the place of its entry, and which block of that it is."""
TurnKey = tuple[str, int, int]
"""The id of a turn, and where it begins: a file of the history, and a byte in it."""
Made = TypeVar("Made")


class TurnHead(NamedTuple):
    """A turn without what is in it."""

    id: str
    at: tuple[int, int]
    """Where it begins: a file of the history, and a byte in it."""
    place: int
    """Its place among all that are known; orphans follow the others."""
    number: int | None
    """From 1; 0 for items outside of any turn; None as long as only the last turns are known."""
    started_ms: int | None
    duration: str
    status: str
    """How it ended, unless it completed."""
    size: int
    """How many items it has, to guess its height."""
    version: tuple[int, ...]
    """Changes when the turn does."""

    @property
    def key(self) -> TurnKey:
        """The same as long as it is the same turn."""
        return (self.id, *self.at)


class KnownTurns(NamedTuple):
    """The turns of a thread that are known at some moment."""

    heads: list[TurnHead]
    partial: bool
    """Whether only the last ones are."""
    warnings: list[str]
    """What is missing or damaged, for people."""


class OutlineEntry(NamedTuple):
    """A turn in the outline."""

    prompt: str
    files: int = 0
    """How many it changed."""
    failures: int = 0
    """How many of its commands failed."""
    tokens: int | None = None


class Chunk(NamedTuple, Generic[Made]):
    """A part of a turn."""

    of: int
    """How many chunks the turn has."""
    made: Made
    """What was made of its blocks."""


class Hit(NamedTuple):
    """A match in a thread."""

    place: int
    """The place of its turn among all."""
    chunk: int
    """Of its turn."""
    key: Key
    at: int
    """Where it begins in the text of its block."""
    terms: int = 1
    """How many of the terms that are searched for are in its block."""
