"""Counts of tokens as lines have them, good or bad."""

from typing import Any, Final

from rollout.usage.model import Tokens

COUNTS: Final = frozenset(
    {
        "input_tokens",
        "cached_input_tokens",
        "cache_write_input_tokens",
        "output_tokens",
        "reasoning_output_tokens",
        "total_tokens",
    }
)
"""The counts of a usage object."""
MOST_TOKENS: Final = 2**40
"""A greater count is no count."""


def tokens_of(value: object) -> tuple[Tokens | None, bool]:
    """The counts of a usage object, and whether one of them is no count; None for no object.

    A count that is missing or no count is 0; such a total is that of input and output.
    """
    if not isinstance(value, dict):
        return None, value is not None
    get = value.get
    input_ = get("input_tokens", 0)
    cached = get("cached_input_tokens", 0)
    written = get("cache_write_input_tokens", 0)
    output = get("output_tokens", 0)
    reasoning = get("reasoning_output_tokens", 0)
    total = get("total_tokens", 0)
    if (
        type(input_) is type(cached) is type(written) is int
        and type(output) is type(reasoning) is type(total) is int
        and not (input_ | cached | written | output | reasoning | total) // MOST_TOKENS
    ):
        return Tokens(input_, cached, written, output, reasoning, total or input_ + output), False
    odd, found = False, []
    for count in (input_, cached, written, output, reasoning, total):
        whole = _whole(count)
        odd = odd or (whole is None and count is not None)
        found.append(whole or 0)
    if not found[5]:
        found[5] = found[0] + found[3]
    return Tokens._make(found), odd


def _whole(count: Any) -> int | None:
    """A count as an integer, also if it is a float; None if it is no count."""
    if type(count) is float and count.is_integer():
        count = int(count)
    return count if type(count) is int and 0 <= count <= MOST_TOKENS else None


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
    return one[5] == other[5] and one[0] == other[0] and one[3] == other[3]


def grown_by(more: Tokens, less: Tokens, use: Tokens) -> bool:
    """Whether ``more`` is ``less`` and ``use`` together."""
    return (
        more[5] - less[5] == use[5] and more[0] - less[0] == use[0] and more[3] - less[3] == use[3]
    )
