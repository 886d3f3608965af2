"""The table of rates, which has every model that ``thread_usage`` has.

A trigger enters a model that is new as *due*. What it costs is looked up when it is asked for, and
again when the library or the user's list has changed.
"""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from state.db.database import Database
from state.db.schema import index_meta, usage_rates
from state.db.sql import set_meta
from state.errors import IndexBusy, IndexNotWritable
from state.prices.current import (
    DUE,
    RATES_KEY,
    price_lists,
    prices_path,
    rates_are_current_steps,
)
from state.prices.rate import LAST_HOUR, Pair, Prices, Rate

UNPRICED: Final = "unpriced"
LIBRARY: Final = "genai-prices"
OWN: Final = "prices.toml"


async def ensure_rates(database: Database) -> bool:
    """Look up the rates of models that have none yet, or all if the library or the user's list has
    changed. False if the index cannot be written now: rates stay as they are.

    Raises:
        InvalidPrices: the user's list cannot be used.
        StateError: the index cannot be read.
    """
    lists = price_lists(database.path)
    if await database.query(rates_are_current_steps(lists)):
        return True
    try:
        async with database.write() as connection:
            await _look_up(connection, prices_path(database.path), lists)
    except (IndexBusy, IndexNotWritable):
        return False
    return True


async def _look_up(connection: AsyncConnection, own_list: Path, lists: str) -> None:
    # Imported here: the library takes 0.2 s, and rates are rarely looked up.
    from state.prices.library import library_rates
    from state.prices.own_list import OwnPrices

    own_prices = OwnPrices(own_list.resolve())  # a temporary copy of an index has a link
    c, meta = usage_rates.c, index_meta.c
    known = await connection.scalar(sa.select(meta.value).where(meta.key == RATES_KEY))
    asked = sa.select(c.provider, c.model, c.service_tier, c.long_context).distinct()
    if known == lists:
        asked = asked.where(c.origin == DUE)
    for pair in [Pair(*row) for row in await connection.execute(asked)]:
        same = sa.tuple_(c.provider, c.model, c.service_tier, c.long_context) == pair
        await connection.execute(sa.delete(usage_rates).where(same))
        own = own_prices.rates(pair)
        since = own[0].from_hour if own else LAST_HOUR
        older = [rate for rate in library_rates(pair) if rate.from_hour < since]
        rows = [_row(pair, rate, LIBRARY, until=since) for rate in older]
        rows += [_row(pair, rate, OWN) for rate in own]
        await connection.execute(sa.insert(usage_rates), rows or [_unpriced(pair)])
    await set_meta(connection, {RATES_KEY: lists})


def _row(
    pair: Pair, rate: Rate, origin: str, *, until: int = LAST_HOUR
) -> dict[str, str | int | float | None]:
    hours = rate._replace(until_hour=min(rate.until_hour, until))._asdict()
    prices = hours.pop("prices")
    named = {f"{name}_rate": price for name, price in prices._asdict().items()}
    return {**pair._asdict(), **hours, **named, "origin": origin}


def _unpriced(pair: Pair) -> dict[str, str | int | float | None]:
    """A row that says that the model was looked up, and has no price."""
    row = _row(pair, Rate(Prices(0, 0, 0, 0)), UNPRICED)
    return row | {name: None for name in row if name.endswith("_rate")}
