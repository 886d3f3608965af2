"""What was used under one key, and the order of keys."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from state.db.steps import MalformedRow
from state.db.usage_sql import COST
from state.reports.calendar import TIMES

COUNTS: Final = (
    *("responses", "input", "cached_input", "cache_write", "output", "reasoning", "total"),
)
"""The columns of ``thread_usage`` that a tally sums."""
_UNPRICED: Final = "sum(CASE WHEN r.input_rate IS NULL THEN u.total ELSE 0 END)"
COSTS_SQL: Final = f"sum({COST}), {_UNPRICED}"
TALLY_SQL: Final = f"{', '.join(f'sum(u.{name})' for name in COUNTS)}, {COSTS_SQL}"
"""What a :class:`Tally` has of rows ``u`` of ``thread_usage`` with their rates ``r``, in SQL."""
SPENT_SQL: Final = f"coalesce(sum({COST}), CASE {_UNPRICED} WHEN 0 THEN 0 END)"
"""Its ``spent``."""

Sort = Literal["cost", "tokens"]


@dataclass(slots=True)
class Tally:
    """What some responses used."""

    threads: int = 0
    responses: int = 0
    input: int = 0
    """All of the input: cached input and what was written to the cache, too."""
    cached_input: int = 0
    cache_write: int = 0
    output: int = 0
    """All of the output: reasoning, too."""
    reasoning: int = 0
    total: int = 0
    cost: float | None = None
    """In USD; None if no model has a price."""
    unpriced: int = 0
    """Tokens of models that have no price."""
    turns: int | None = None
    """None if they are not counted."""

    @property
    def spent(self) -> float | None:
        """The cost, which is nothing where nothing was used."""
        return 0.0 if self.cost is None and not self.unpriced else self.cost

    def add(self, other: "Tally") -> None:
        """Add what other responses used. Threads are not added."""
        self.responses += other.responses
        self.input += other.input
        self.cached_input += other.cached_input
        self.cache_write += other.cache_write
        self.output += other.output
        self.reasoning += other.reasoning
        self.total += other.total
        self.unpriced += other.unpriced
        if other.cost is not None:
            self.cost = (self.cost or 0.0) + other.cost
        if other.turns is not None:
            self.turns = (self.turns or 0) + other.turns


def tally_of(threads: int, *sums: Any) -> Tally:
    """The tally of a row of ``TALLY_SQL``. Raises MalformedRow if what it counts are no numbers."""
    whole_numbers((threads, *sums[: len(COUNTS)]))
    return Tally(threads, *sums)


def whole_numbers(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of whole numbers. Raises MalformedRow if others are among them."""
    if not all(type(value) is int for value in row):
        raise MalformedRow("a row of thread_usage")
    return row


@dataclass(slots=True)
class Group:
    """What was used under one key, and under the keys of the second dimension, if there is one."""

    key: str
    tally: Tally = field(default_factory=Tally)
    before: Tally | None = None
    """In the span before, if that was asked for."""
    groups: "list[Group]" = field(default_factory=list)


def in_order(by: Sequence[str], groups: Iterable[Group], sort: Sort) -> list[Group]:
    """The groups in their order, and so their inner ones."""
    for group in (found := [*groups]):
        group.groups = in_order(by[1:], group.groups, sort) if group.groups else []
    if by[0] in TIMES:
        return sorted(found, key=_by_key)
    return sorted(found, key=_by_cost if sort == "cost" else _by_tokens)


def _by_key(group: Group) -> str:
    return group.key


def _by_tokens(group: Group) -> tuple[int, int, str]:
    return -group.tally.total, -(group.before.total if group.before else 0), group.key


def _by_cost(group: Group) -> tuple[float, float, int, int, str]:
    """Groups without a price come last: what they cost is not known."""
    now, before = group.tally.spent, group.before.spent if group.before else None
    return 1 if now is None else -now, -(before or 0), *_by_tokens(group)


def compared(by: Sequence[str], now: list[Group], earlier: list[Group], sort: Sort) -> list[Group]:
    """The groups of both spans: those that only one has, too."""
    found = {group.key: group for group in now}
    before = {group.key: group for group in earlier}
    for key in {*found, *before}:
        group = found.setdefault(key, Group(key))
        other = before.get(key, Group(key))
        group.before = other.tally
        inner = (group.groups, other.groups)
        group.groups = compared(by[1:], *inner, sort) if len(by) > 1 else []
    return in_order(by, found.values(), sort)
