"""Counts of tokens as lines have them, good or bad."""

from typing import Any, Final

from rollout.usage.model import Tokens

MOST_TOKENS: Final = 2**40
"""A greater count is no count."""
NO_TOKENS: Final = Tokens()
_NAMES: Final = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
    "total_tokens",
)


def tokens_of(value: object) -> tuple[Tokens | None, bool]:
    """The counts of a usage object, and whether one of them is no count; None for no object.

    A count that is missing or no count is 0; such a total is that of input and output.
    """
    if not isinstance(value, dict):
        return None, value is not None
    get = value.get
    found = [get(name, 0) for name in _NAMES]
    odd = False
    for place, count in enumerate(found):
        if type(count) is not int or not 0 <= count <= MOST_TOKENS:
            whole = _whole(count)
            odd = odd or (whole is None and count is not None)
            found[place] = whole or 0
    if not found[5]:
        found[5] = found[0] + found[3]
    return Tokens._make(found), odd


def _whole(count: Any) -> int | None:
    """A float that is a count as one."""
    if isinstance(count, float) and 0 <= count <= MOST_TOKENS and count.is_integer():
        return int(count)
    return None


def minus(more: Tokens, less: Tokens) -> Tokens:
    """By how much each count of ``more`` is greater."""
    return Tokens(
        more[0] - less[0],
        more[1] - less[1],
        more[2] - less[2],
        more[3] - less[3],
        more[4] - less[4],
        more[5] - less[5],
    )


def is_response(tokens: Tokens) -> bool:
    """Whether a response can have used so much: Codex tells its estimates of a context as a total
    without input and output."""
    return bool(tokens.input or tokens.output)


def same_use(one: Tokens, other: Tokens) -> bool:
    """Whether input, output and total are the same; versions differ in the other counts."""
    return one[0] == other[0] and one[3] == other[3] and one[5] == other[5]
