"""Rates that are kept give the price that the library asks for each response."""

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data import providers

from state.errors import InvalidPrices
from state.prices.library import library_rates
from state.prices.own_list import OwnPrices
from state.prices.rate import FIRST_HOUR, LAST_HOUR, Pair, Rate

CONTEXTS = (0, 272_000)
DATES = ("2025-03-01T12", "2026-07-29T23", "2026-07-30T00", "2026-10-12T05", "2026-11-29T18")


def rate_at(rates: list[Rate], hour: int) -> Rate:
    (found,) = (
        rate
        for rate in rates
        if rate.from_hour <= hour < rate.until_hour and rate.day_from <= hour % 24 < rate.day_until
    )
    return found


def cost(rate: Rate, tokens: tuple[int, int, int, int]) -> float:
    return sum(count * price for count, price in zip(tokens, rate.prices, strict=True))


def differences(pair: Pair, provider: str | None) -> list[str]:
    rates, found = library_rates(pair), []
    first = max(pair.long_context + 1, 10)
    for date, more in itertools.product(DATES, (0, 17_000)):
        at = datetime.fromisoformat(f"{date}:00:00+00:00")
        count = first + more
        cached, written, output = count // 2, 3, 777
        usage = Usage(
            input_tokens=count,
            cache_read_tokens=cached,
            cache_write_tokens=written,
            output_tokens=output,
        )
        right = calc_price(
            usage,
            pair.model,
            provider_id=provider,
            genai_request_timestamp=at,
            price_context={"service_tier": pair.service_tier} if pair.service_tier else None,
        )
        rate = rate_at(rates, int(at.timestamp()) // 3600)
        ours = cost(rate, (count - cached - written, cached, written, output))
        if ours != pytest.approx(float(right.total_price), rel=1e-9):
            found.append(f"{pair} {date} {usage}: {ours} != {right.total_price}")
    return found


def test_models_of_openai_cost_what_the_library_says() -> None:
    (openai,) = (provider for provider in providers if provider.id == "openai")
    found = [
        difference
        for model, tier, context in itertools.product(
            openai.models[::3], ("", "priority"), CONTEXTS
        )
        if library_rates(Pair("openai", model.id, tier, context))
        for difference in differences(Pair("openai", model.id, tier, context), "openai")
    ]
    assert found == []


@pytest.mark.parametrize("provider", ["anthropic", "deepseek", "google", "x-ai", "mistral"])
def test_models_of_others_do_too(provider: str) -> None:
    (known,) = (one for one in providers if one.id == provider)
    found = [
        difference
        for model in known.models
        if library_rates(Pair(provider, model.id, "", 0))
        for difference in differences(Pair(provider, model.id, "", 0), provider)
    ]
    assert found == []


def test_rates_change_on_the_day_when_the_price_does() -> None:
    rates = library_rates(Pair("openai", "gpt-5.6-luna", "", 0))
    day = int(datetime(2026, 7, 30, tzinfo=UTC).timestamp()) // 3600
    assert rate_at(rates, day - 1).prices.input == pytest.approx(1e-6)
    assert rate_at(rates, day).prices.input == pytest.approx(0.2e-6)


def test_no_model_of_any_provider_stops_the_look_up() -> None:
    for provider in providers:
        for model in provider.models[::10]:
            library_rates(Pair(provider.id, model.id, "", 0))


def test_a_proxy_is_priced_by_the_model_and_a_local_or_unknown_model_is_not() -> None:
    assert library_rates(Pair("my-proxy", "gpt-5-codex", "", 0))
    assert library_rates(Pair("", "gpt-5-codex", "", 0))
    assert not library_rates(Pair("ollama", "gpt-oss:20b", "", 0))
    assert not library_rates(Pair("openai", "no-such-model", "", 0))
    assert not library_rates(Pair("openai", "", "", 0))


def test_own_prices_are_taken_by_model_provider_and_day(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text(
        """
        [[price]]
        model = "acme-*"
        input = 2
        output = 8.5

        [[price]]
        model = "acme-*"
        provider = "acme"
        since = 2026-07-01
        input = 1
        cached_input = 0.1
        output = 4
        """
    )
    own = OwnPrices(tmp_path / "prices.toml")
    changed = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp()) // 3600
    before, after = own.rates(Pair("acme", "acme-large", "", 0))
    assert (before.from_hour, before.until_hour) == (FIRST_HOUR, changed)
    assert list(before.prices) == pytest.approx([2e-6, 2e-6, 2e-6, 8.5e-6])
    assert (after.from_hour, after.until_hour) == (changed, LAST_HOUR)
    assert list(after.prices) == pytest.approx([1e-6, 0.1e-6, 1e-6, 4e-6])
    assert len(own.rates(Pair("other", "acme-large", "", 0))) == 1
    assert own.rates(Pair("acme", "gpt-5", "", 0)) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[price]]\nmodel = 'a'\ninput = 1\noutput = x\n", "line 4"),
        ("[[price]]\nmodel = 'a'\ninput = 1\n", "price 1: output is missing"),
        ("[[price]]\nmodel = 'a'\ninput = -1\noutput = 1\n", "price 1: input should be greater"),
        ("[[price]]\nmodel = 'a'\ninput = '1'\noutput = 1\n", "price 1: input should be"),
        ("[[price]]\nmodel = 'a'\ninput = inf\noutput = 1\n", "price 1: input should be"),
        ("[[price]]\nmodel = 'a'\ninput = 1e308\noutput = 1\n", "price 1: input should be less"),
        ("[[price]]\nmodel = 'a'\ninptu = 1\noutput = 1\n", "price 1: unknown key inptu"),
        ("[[prices]]\nmodel = 'a'\n", "unknown key prices"),
        ("[price]\nmodel = 'a'\n", r"write \[\[price\]\], not \[price\]"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_with_the_place(
    tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "prices.toml").write_text(text)
    with pytest.raises(InvalidPrices, match=problem):
        OwnPrices(tmp_path / "prices.toml")
