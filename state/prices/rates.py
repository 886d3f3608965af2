"""The table of rates, which has every model that ``thread_usage`` has.

A trigger enters a model that is new as *due*. What it costs is looked up when it is asked for, and
again when the library or the user's list has changed.
"""

import sqlite3
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

from state.db.database import Database
from state.db.sql import Put, meta, set_meta
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
RateRow = dict[str, str | int | float | None]
"""A row of ``usage_rates``, by its columns."""
_PUT_RATE: Final = Put("usage_rates")


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
        own_list = prices_path(database.path)
        await database.transact(partial(_look_up, own_list=own_list, lists=lists))
    except (IndexBusy, IndexNotWritable):
        return False
    return True


def _look_up(connection: sqlite3.Connection, own_list: Path, lists: str) -> None:
    pair_of = ", ".join(Pair._fields)
    asked = f"SELECT DISTINCT {pair_of} FROM usage_rates"
    if meta(connection, RATES_KEY) == lists:
        asked += f" WHERE origin = '{DUE}'"
    pairs = [Pair(*row) for row in connection.execute(asked).fetchall()]
    for pair, rows in rates_of(pairs, own_list).items():
        connection.execute(f"DELETE FROM usage_rates WHERE ({pair_of}) = (?, ?, ?, ?)", pair)
        _PUT_RATE.rows(connection, rows)
    set_meta(connection, {RATES_KEY: lists})


def rates_of(pairs: Iterable[Pair], own_list: Path) -> dict[Pair, list[RateRow]]:
    """The rows of ``usage_rates`` for each pair: one that says so, if it has no price. Raises
    InvalidPrices if the user's list cannot be used."""
    # Imported here: the library takes 0.2 s, and rates are rarely looked up.
    from state.prices.library import library_rates
    from state.prices.own_list import OwnPrices

    own_prices = OwnPrices(own_list.resolve())  # a temporary copy of an index has a link
    found = {}
    for pair in pairs:
        own = own_prices.rates(pair)
        since = own[0].from_hour if own else LAST_HOUR
        older = [rate for rate in library_rates(pair) if rate.from_hour < since]
        rows = [_row(pair, rate, LIBRARY, until=since) for rate in older]
        rows += [_row(pair, rate, OWN) for rate in own]
        found[pair] = rows or [_unpriced(pair)]
    return found


def _row(pair: Pair, rate: Rate, origin: str, *, until: int = LAST_HOUR) -> RateRow:
    hours = rate._replace(until_hour=min(rate.until_hour, until))._asdict()
    prices = hours.pop("prices")
    named = {f"{name}_rate": price for name, price in prices._asdict().items()}
    return {**pair._asdict(), **hours, **named, "origin": origin}


def _unpriced(pair: Pair) -> RateRow:
    """A row that says that the model was looked up, and has no price."""
    row = _row(pair, Rate(Prices(0, 0, 0, 0)), UNPRICED)
    return row | {name: None for name in row if name.endswith("_rate")}
