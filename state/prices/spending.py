"""What threads have spent: their tokens, and what these cost."""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from state.db.database import Database
from state.db.steps import Steps
from state.prices.rates import ensure_rates


class Spending(NamedTuple):
    """Of one thread: what it used itself, without what it inherited."""

    tokens: int = 0
    cost: float | None = None
    """In USD, as the API would have asked; None if no model has a price."""
    unpriced_tokens: int = 0
    """Of models that have no price."""


async def spending(database: Database, ids: Sequence[str] | None = None) -> dict[str, Spending]:
    """The spending of the threads ``ids``, or of all, by id. A thread that used nothing is missing.

    Raises:
        InvalidPrices: the user's list of prices cannot be used.
        StateError: the index cannot be read.
    """
    await ensure_rates(database)
    return await database.query(_spending_steps(ids))


def _spending_steps(ids: Sequence[str] | None) -> Steps[dict[str, Spending]]:
    chosen, values = "", []
    if ids is not None:
        chosen = "WHERE thread_id IN (SELECT value FROM json_each(?))"
        values = [orjson.dumps(ids).decode()]
    rows = yield (
        "SELECT thread_id, sum(total), sum(cost), sum(iif(cost IS NULL, total, 0))"
        f" FROM v_usage {chosen} GROUP BY thread_id",
        values,
    )
    return {row[0]: Spending(*row[1:]) for row in rows}
