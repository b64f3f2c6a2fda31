"""The price list: own prices first, then the public catalogue; what nobody priced stays unpriced."""

from __future__ import annotations

import socket
from datetime import date
from pathlib import Path

import pytest

from detectors.intake.prices import Rates
from streams.configuration.catalogue import build_prices, public_rates
from streams.configuration.files import Price, TokenPrices
from streams.configuration.settings import load

ROOT = Path(__file__).resolve().parents[2]
EPOCH = date(1970, 1, 1)


def day(year: int, month: int, of_month: int) -> int:
    return (date(year, month, of_month) - EPOCH).days


TODAY = day(2026, 11, 24)


def tokens(usd: float) -> TokenPrices:
    return TokenPrices(input=usd, output=2 * usd)


def test_an_own_price_wins_over_the_catalogue() -> None:
    table = build_prices([Price(model="gpt-4o-mini", usd_per_million=tokens(7.0))])
    assert table.rates("openai", "gpt-4o-mini", TODAY) == Rates(7e-6, 7e-6, 7e-6, 14e-6)


def test_an_own_price_for_a_provider_wins_over_one_for_all() -> None:
    table = build_prices(
        [Price(model="m", usd_per_million=tokens(1.0)), Price(model="m", provider="here", usd_per_million=tokens(2.0))]
    )
    at = {provider: table.rates(provider, "m", TODAY) for provider in ("here", "elsewhere", "")}
    assert {provider: rates and rates.input_usd for provider, rates in at.items()} == {
        "here": 2e-6,
        "elsewhere": 1e-6,
        "": 1e-6,
    }


def test_a_price_changes_at_the_midnight_from_which_it_holds() -> None:
    table = build_prices(
        [
            Price(model="m", since=date(2026, 3, 1), usd_per_million=tokens(3.0)),
            Price(model="m", usd_per_million=tokens(1.0)),
            Price(model="m", since=date(2026, 2, 1), usd_per_million=tokens(2.0)),
        ]
    )
    days = [day(2026, 1, 31), day(2026, 2, 1), day(2026, 2, 28), day(2026, 3, 1)]
    assert [rates.input_usd for d in days if (rates := table.rates("", "m", d))] == [1e-6, 2e-6, 2e-6, 3e-6]


def test_before_the_first_own_price_the_catalogue_is_asked() -> None:
    table = build_prices([Price(model="gpt-4o-mini", since=date(2026, 3, 1), usd_per_million=tokens(3.0))])
    assert table.rates("openai", "gpt-4o-mini", day(2026, 2, 28)) == public_rates("openai", "gpt-4o-mini", TODAY)


def test_models_and_providers_are_known_whatever_the_case() -> None:
    table = build_prices([Price(model="House-7B", provider="Here", usd_per_million=tokens(1.0))])
    assert table.rates("HERE", "house-7b", TODAY) is not None
    assert public_rates("OpenAI", "GPT-4o-mini", TODAY) == public_rates("openai", "gpt-4o-mini", TODAY)


def test_a_gpu_is_priced_by_the_second() -> None:
    table = build_prices([Price(model="g", usd_per_gpu_hour=3.6)])
    assert table.rates("", "g", TODAY) == Rates(0.0, 0.0, 0.0, 0.0, 0.001)


@pytest.mark.parametrize(
    ("provider", "model"), [("", "nobody-knows-it"), ("openai", "nobody-knows-it"), ("nobody", "gpt-4o-mini"), ("", "")]
)
def test_what_nobody_priced_is_unpriced(provider: str, model: str) -> None:
    assert build_prices([]).rates(provider, model, TODAY) is None


def test_cached_and_written_input_have_the_catalogues_own_prices() -> None:
    rates = public_rates("anthropic", "claude-opus-4-1-20250805", TODAY)
    assert rates is not None
    assert rates.cached_input_usd < rates.input_usd < rates.cache_write_usd < rates.output_usd


def test_without_a_provider_the_model_tells_it() -> None:
    assert public_rates("", "gpt-4o-mini", TODAY) == public_rates("openai", "gpt-4o-mini", TODAY)


def test_the_catalogue_never_asks_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert build_prices([]).rates("openai", "gpt-4.1", TODAY) is not None


def test_the_shipped_list_prices_the_models_that_the_catalogue_does_not_know() -> None:
    table = build_prices(load(ROOT / "config").prices)
    for provider, model in (("dashscope", "qwen-max"), ("dashscope", "qwen-turbo"), ("self-hosted", "ml.g4dn.xlarge")):
        assert public_rates(provider, model, TODAY) is None
        assert table.rates(provider, model, TODAY) is not None
