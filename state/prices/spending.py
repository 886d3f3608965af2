"""What threads have spent: their tokens, and what these cost."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from state.db.steps import Steps
from state.db.usage_sql import COST, RATES_JOIN
from state.prices.current import rates_are_current_steps

if TYPE_CHECKING:
    from state.db.database import Database


class Spending(NamedTuple):
    """Of one thread: what it used itself, without what it inherited."""

    tokens: int = 0
    priced: float = 0.0
    """What the API would have asked for all that has a price, in USD."""
    unpriced_tokens: int = 0
    """Of models that have no price."""

    @property
    def cost(self) -> float | None:
        """In USD, without what has no price; None if nothing of it has one. What used nothing costs
        nothing."""
        nothing_known = self.unpriced_tokens and self.unpriced_tokens == self.tokens
        return None if nothing_known else self.priced

    def plus(self, other: "Spending") -> "Spending":
        """Both together."""
        tokens, unpriced = (
            self.tokens + other.tokens,
            self.unpriced_tokens + other.unpriced_tokens,
        )
        return Spending(tokens, self.priced + other.priced, unpriced)


NOTHING: Final = Spending()


def spending_steps(lists: str, ids: Sequence[str]) -> Steps[dict[str, Spending] | None]:
    """As :func:`spending`; None if a price has to be looked up in the ``lists`` before, which
    :func:`state.prices.current.price_lists` gives."""
    current = yield from rates_are_current_steps(lists)
    return (yield from known_spending_steps(ids)) if current else None


async def spending(database: "Database", ids: Sequence[str] | None = None) -> dict[str, Spending]:
    """The spending of the threads ``ids``, or of all, by id. A thread that used nothing is missing.

    Raises:
        InvalidPrices: the user's list of prices cannot be used.
        StateError: the index cannot be read.
    """
    from state.prices.rates import ensure_rates

    await ensure_rates(database)
    return await database.query(known_spending_steps(ids))


async def spending_without_prices(
    database: "Database", ids: Sequence[str] | None = None
) -> dict[str, Spending]:
    """As :func:`spending`, but all of it unpriced: for a list of prices that cannot be used.

    Raises:
        StateError: the index cannot be read.
    """
    found = await database.query(known_spending_steps(ids))
    return {id_: Spending(spent.tokens, 0.0, spent.tokens) for id_, spent in found.items()}


def known_spending_steps(ids: Sequence[str] | None) -> Steps[dict[str, Spending]]:
    """As :func:`spending`, by the rates that are there."""
    chosen, values = "", []
    if ids is not None:
        chosen = "WHERE t.id IN (SELECT value FROM json_each(?))"
        values = [json.dumps(ids)]
    rows = yield (
        f"SELECT t.id, sum(u.total), coalesce(sum({COST}), 0.0),"
        f" sum(CASE WHEN {COST} IS NULL THEN u.total ELSE 0 END) FROM thread_usage u"
        f" JOIN threads t ON t.row_id = u.row_id {RATES_JOIN} {chosen} GROUP BY t.id",
        values,
    )
    return {row[0]: Spending(*row[1:]) for row in rows}
