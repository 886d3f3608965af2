"""Prices of what the machines of a fleet used: the reader's own."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Final

from state.db.steps import Steps, of_all_steps
from state.fleet.reading.database import FleetDatabase
from state.fleet.reading.scope import Scope
from state.prices.current import prices_path
from state.prices.rate import Pair
from state.prices.rates import rates_of

_PAIRS: Final = (
    f"SELECT DISTINCT {', '.join(f'u.{name}' for name in Pair._fields)} FROM thread_usage u"
)


async def look_up_rates(
    database: FleetDatabase, ids: Sequence[str] | None, scope: Scope | None = None
) -> None:
    """Look up what the models cost that some threads used, or all of them. Raises InvalidPrices if
    the user's list of prices cannot be used."""
    database.priced.update(await database.again(lambda: _pairs_steps(ids), scope))
    look = partial(rates_of, [*database.priced], prices_path(database.path))
    found = await database.workers.run(look)
    database.rates = json.dumps([row for rows in found.values() for row in rows])


def _pairs_steps(ids: Sequence[str] | None) -> Steps[list[Pair]]:
    if ids is None:
        yield from of_all_steps()
        return [Pair(*row) for row in (yield _PAIRS, [])]
    some = (
        f"{_PAIRS} JOIN threads t ON t.row_id = u.row_id"
        " WHERE t.id IN (SELECT value FROM json_each(?))"
    )
    return [Pair(*row) for row in (yield some, [json.dumps(ids)])]
