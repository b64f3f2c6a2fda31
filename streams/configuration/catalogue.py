"""The price list: an organisation's own prices first, then the public catalogue of the genai-prices package.

The package's bundled data alone is read, never the network, so that a replay costs the same tomorrow. Where
nobody names a price there is none: such usage is *unpriced*, which is not $0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, TieredPrices

from detectors.intake.prices import PriceTable, Rates
from streams.configuration.files import Price

EPOCH = date(1970, 1, 1)
_BEFORE_ALL = -(2**31)
_TOKENS = 1_000_000
_SECONDS_PER_HOUR = 3600

_Key = tuple[str, str]
_Dated = list[tuple[int, Rates]]


def build_prices(own: Iterable[Price]) -> PriceTable:
    """Build the price table.

    Parameters
    ----------
    own
        The organisation's prices. An entry with the event's provider wins over one without, and either over
        the catalogue; of several, the latest whose ``from`` is on or before the day.

    Examples
    --------
    >>> table = build_prices([Price(model="house-7b", usd_per_gpu_hour=3.6)])
    >>> table.rates("", "house-7b", 20_000).gpu_usd_per_second
    0.001
    >>> table.rates("", "nobody-knows-it", 20_000) is None
    True
    """
    entries = _by_model(own)

    def lookup(provider: str, model: str, day: int) -> Rates | None:
        for key in ((provider.lower(), model.lower()), ("", model.lower())):
            rates = _at(entries.get(key, []), day)
            if rates is not None:
                return rates
        return public_rates(provider, model, day)

    return PriceTable(lookup)


def public_rates(provider: str, model: str, day: int) -> Rates | None:
    """Return what the public catalogue says of a model on a day since the epoch, or None.

    Without a provider it is told from the model's name; an unknown provider has no prices, even if others sell
    the model. Where a price changes within a day, that of noon (UTC) is taken; where long prompts cost more,
    that of short ones, since the length of a single prompt is not in a minute's sum.

    Examples
    --------
    >>> public_rates("openai", "gpt-4o-mini", 20_000).input_usd
    1.5e-07
    """
    moment = datetime.combine(EPOCH + timedelta(days=day), time(12), UTC)
    try:
        _, found = get_snapshot().find_provider_model(model, None, provider or None, None)
    except LookupError:
        return None
    prices = found.get_prices(moment)
    if prices.input_mtok is None and prices.output_mtok is None:
        return None  # sold by the picture, the page or the minute
    fresh = _per_token(prices, "input_mtok", 0.0)
    return Rates(
        input_usd=fresh,
        cached_input_usd=_per_token(prices, "cache_read_mtok", fresh),
        cache_write_usd=_per_token(prices, "cache_write_mtok", fresh),
        output_usd=_per_token(prices, "output_mtok", 0.0),
    )


def _per_token(prices: ModelPrice, name: str, otherwise: float) -> float:
    price: Decimal | TieredPrices | None = getattr(prices, name)
    if price is None:
        return otherwise
    return float((price.base if isinstance(price, TieredPrices) else price) / _TOKENS)


def _by_model(own: Iterable[Price]) -> dict[_Key, _Dated]:
    """Own prices by (provider, model), rising by day."""
    entries: dict[_Key, _Dated] = {}
    for price in own:
        day = _BEFORE_ALL if price.since is None else (price.since - EPOCH).days
        entries.setdefault((price.provider.lower(), price.model.lower()), []).append((day, _rates(price)))
    for dated in entries.values():
        dated.sort(key=lambda entry: entry[0])
    return entries


def _at(dated: _Dated, day: int) -> Rates | None:
    place = bisect_right(dated, day, key=lambda entry: entry[0])
    return dated[place - 1][1] if place else None


def _rates(price: Price) -> Rates:
    gpu = (price.usd_per_gpu_hour or 0.0) / _SECONDS_PER_HOUR
    tokens = price.usd_per_million
    if tokens is None:
        return Rates(0.0, 0.0, 0.0, 0.0, gpu)
    cached = tokens.input if tokens.cached_input is None else tokens.cached_input
    written = tokens.input if tokens.cache_write is None else tokens.cache_write
    return Rates(tokens.input / _TOKENS, cached / _TOKENS, written / _TOKENS, tokens.output / _TOKENS, gpu)
