"""The rates of models as the library ``genai-prices`` knows them.

The library takes 0.2 s to import, so only :mod:`state.prices.rates` asks for this, and keeps the
answers in the index. Its prices are linear in the tokens of a response, as long as its input stays
between two thresholds, so that the price of a few tokens of each kind gives the rate of all.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Final

from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, StartDateConstraint, TimeOfDateConstraint

from state.prices.rate import DAY_HOURS, FIRST_HOUR, LAST_HOUR, Pair, Prices, Rate, first_hour

_LOCAL: Final = frozenset({"ollama", "ollama-chat", "lmstudio", "oss", "llama.cpp", "vllm"})
"""Providers whose models run on the user's own machine, which no list has a price for."""
_MAKER: Final = "openai"
"""Whose models Codex uses where a provider is a proxy that the library does not know."""
_ANY_DAY: Final = date(2025, 1, 1)
_FEW: Final = 1_000


def library_rates(pair: Pair) -> list[Rate]:
    """The rates of a model for all hours; none if the library has no price for it."""
    provider = _provider_of(pair.provider)
    if provider is None or not pair.model:
        return []
    try:
        found = _price(pair, provider, _at(_ANY_DAY, 0), 1, 0, 0, 0)[1]
        return list(_rates(pair, provider, found))
    except LookupError:  # the library knows no such model
        return []


def _provider_of(name: str) -> str | None:
    """The library's name of a Codex provider; None for those that no list has prices of."""
    if name.lower() in _LOCAL:
        return None
    try:
        return get_snapshot().find_provider(None, name.lower(), None).id if name else _MAKER
    except LookupError:
        return _MAKER


def _rates(pair: Pair, provider: str, model: ModelInfo) -> Iterator[Rate]:
    """The rates of each time between two dates at which a price changes, and of the hours of the
    day if prices differ in them. Times with the same rates are one."""
    days = sorted(set(_start_days(model)))
    starts = [FIRST_HOUR, *map(first_hour, days), LAST_HOUR]
    shown = [(days[0] if days else _ANY_DAY) - timedelta(days=1), *days]
    hours = range(DAY_HOURS) if _has_times_of_day(model) else range(1)
    spans: list[tuple[int, int, list[Prices]]] = []
    for (start, end), day in zip(pairwise(starts), shown, strict=True):
        found = [_prices_at(pair, provider, _at(day, hour)) for hour in hours]
        if spans and spans[-1][2] == found:
            spans[-1] = (spans[-1][0], end, found)
        else:
            spans.append((start, end, found))
    for start, end, found in spans:
        for prices, group in groupby(enumerate(found), key=itemgetter(1)):
            part = [hour for hour, _ in group]
            until = part[-1] + 1 if len(found) > 1 else DAY_HOURS
            yield Rate(prices, start, end, part[0], until)


def _start_days(model: ModelInfo) -> Iterator[date]:
    for constraint in _constraints(model):
        if isinstance(constraint, StartDateConstraint):
            yield constraint.start_date


def _has_times_of_day(model: ModelInfo) -> bool:
    return any(isinstance(one, TimeOfDateConstraint) for one in _constraints(model))


def _constraints(model: ModelInfo) -> list[object]:
    prices = model.prices if isinstance(model.prices, list) else []
    return [one.constraint for one in (*prices, *(model.price_variants or ()))]


def _prices_at(pair: Pair, provider: str, at: datetime) -> Prices:
    count = max(pair.long_context + 1, _FEW)
    plain, _ = _price(pair, provider, at, count, 0, 0, 0)
    cached, _ = _price(pair, provider, at, count, count, 0, 0)
    written, _ = _price(pair, provider, at, count, 0, count, 0)
    answered, _ = _price(pair, provider, at, count, 0, 0, count)
    kinds = (plain, cached, written, answered - plain)
    return Prices(*(float(price / count) for price in kinds))


def _price(
    pair: Pair, provider: str, at: datetime, count: int, cached: int, written: int, output: int
) -> tuple[Decimal, ModelInfo]:
    usage = Usage(
        input_tokens=count,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
    )
    context = {"service_tier": pair.service_tier} if pair.service_tier else None
    found = calc_price(
        usage,
        pair.model,
        provider_id=provider,
        genai_request_timestamp=at,
        price_context=context,
    )
    return found.total_price, found.model


def _at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
