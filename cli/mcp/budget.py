"""How long the answer of a tool may be."""

import json
from collections.abc import Iterable
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BaseModel, Field

USUAL_TOKENS: Final = 2_000
_FEWEST_TOKENS: Final = 200
_MOST_TOKENS: Final = 20_000
BYTES_A_TOKEN: Final = 4
_AROUND: Final = 300
"""Bytes of what stands around the items of an answer: braces, the sentence on what was cut."""
CUT: Final = "…"
Item = TypeVar("Item", bound=BaseModel)

MaxTokens = Annotated[
    int,
    Field(
        description=f"How long the answer may be, in tokens of {BYTES_A_TOKEN} bytes; at most"
        f" {_MOST_TOKENS:,}. What does not fit is left out, and next_cursor continues there."
    ),
]
"""The parameter of a tool that has a :class:`Budget`."""
Cursor = Annotated[
    str,
    Field(description="The next_cursor of an earlier answer; repeat the other arguments with it."),
]
"""The parameter of a tool that continues."""


def at_most(most: int) -> AfterValidator:
    """Takes what is asked for more for ``most``, and what is asked for less than one for one."""
    return AfterValidator(lambda asked: min(max(asked, 1), most))


class Budget:
    """How much of an answer is left. A client shows its model either the text or the typed result,
    so that the longer of the two counts."""

    def __init__(self, max_tokens: int) -> None:
        """What is out of bounds is brought within them."""
        self.max_tokens = min(max(max_tokens, _FEWEST_TOKENS), _MOST_TOKENS)
        self.left = self.max_tokens * BYTES_A_TOKEN - _AROUND
        """In bytes."""

    def takes(self, item: BaseModel, text: str) -> bool:
        """Whether an item of a typed result fits, with the text for it; if so, it is counted."""
        size = max(size_of(text), len(item.model_dump_json(exclude_defaults=True).encode()) + 1)
        if size > self.left:
            return False
        self.left -= size
        return True

    def first_of(self, items: Iterable[tuple[Item, str]]) -> list[tuple[Item, str]]:
        """As many of some items, each with its text, as fit: at least one, so that a cursor always
        leads on."""
        taken: list[tuple[Item, str]] = []
        for item, text in items:
            if not self.takes(item, text) and taken:
                break
            taken.append((item, text))
            if self.left <= 0:
                break
        return taken


def size_of(text: str) -> int:
    """How many bytes a text takes in JSON."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace"))


def beginning(text: str, size: int) -> str:
    """As much of a text as takes so many bytes at most: up to the end of a line, if one ends in the
    second half of that."""
    kept = text[:size]
    while (takes := size_of(kept)) > size and kept:
        kept = kept[: min(len(kept) * size // takes, len(kept) - 1)]
    line = kept.rfind("\n") + 1
    return kept[:line] if line > len(kept) // 2 and len(kept) < len(text) else kept


def shortened(text: str, size: int) -> str:
    """As :func:`beginning`, with a mark if something is cut off."""
    kept = beginning(text, size)
    return kept if kept == text else f"{kept.rstrip()}{CUT}"


def continued(cursor: str) -> str:
    """The sentence that says how an answer goes on; empty if it is whole."""
    return f"\nThere is more: call again with cursor={cursor!r}." if cursor else ""
