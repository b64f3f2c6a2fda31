"""Events to columns: the one place where usage is a list of objects."""

from __future__ import annotations

from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from detectors import frame as f
from detectors.events import UsageEvent
from detectors.frame import Key
from detectors.prices import NANO, Counts, PriceTable

_COUNTED = {
    f.REQUESTS: attrgetter("requests"),
    f.ERRORS: attrgetter("errors"),
    f.INPUT: attrgetter("input_tokens"),
    f.CACHED: attrgetter("cached_input_tokens"),
    f.CACHE_WRITE: attrgetter("cache_write_tokens"),
    f.OUTPUT: attrgetter("output_tokens"),
    f.REASONING: attrgetter("reasoning_tokens"),
}
_GPU_SECONDS, _COST_USD = attrgetter("gpu_seconds"), attrgetter("cost_usd")
_KEY = attrgetter(*f.DIMENSIONS)


def counts_of(events: list[UsageEvent]) -> NDArray[np.int64]:
    """:data:`detectors.frame.MEASURES` by event as they were sent, dollars still missing; shape (measures, events)."""
    values = np.zeros((len(f.MEASURES), len(events)), np.int64)
    for place, count in _COUNTED.items():
        values[place] = np.fromiter(map(count, events), np.int64, len(events))
    values[f.GPU_MS] = np.rint(np.fromiter(map(_GPU_SECONDS, events), float, len(events)) * 1000)
    return values


def paid_of(events: list[UsageEvent]) -> NDArray[np.float64]:
    """Dollars that the source told, NaN where it did not; shape (events,)."""
    return np.array(list(map(_COST_USD, events)), float)


def keys_of(events: list[UsageEvent]) -> tuple[list[Key], NDArray[np.int32]]:
    """Distinct labels, and each event's place among them."""
    keys: list[Key] = list(map(_KEY, events))
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return list(places), np.fromiter(map(places.__getitem__, keys), np.int32, len(keys))


def add_dollars(
    values: NDArray[np.int64],
    paid_usd: NDArray[np.float64],
    keys: list[Key],
    key: NDArray[np.int32],
    minutes: NDArray[np.int32],
    prices: PriceTable,
) -> None:
    """Fill in what was paid, what the list asks, and what nobody priced.

    What a source told is believed; what it did not is priced from the list; what neither knows is unpriced: its
    requests are counted and its cost is not taken for zero.
    """
    tokens = Counts(*values[[f.INPUT, f.CACHED, f.CACHE_WRITE, f.OUTPUT, f.GPU_MS]])
    listed = prices.list_cost([(k[5], k[6]) for k in keys], key, minutes, tokens)
    told, known = ~np.isnan(paid_usd), listed.known
    paid = np.rint(np.nan_to_num(paid_usd) * NANO).astype(np.int64)
    values[f.COST] = np.where(told, paid, listed.total_nano)
    values[f.LIST] = np.where(known, listed.total_nano, values[f.COST])
    has_tokens = (values[f.INPUT] + values[f.OUTPUT]) > 0
    gpu_alone = ~has_tokens & (values[f.GPU_MS] > 0)
    values[f.GPU_COST] = np.where(gpu_alone, values[f.COST], np.minimum(listed.gpu_nano, values[f.COST]))
    token_list = values[f.LIST] - np.minimum(values[f.GPU_COST], values[f.LIST])
    values[f.LIST_INPUT] = np.where(known, listed.input_nano, token_list)
    values[f.LIST_UNCACHED] = np.where(known, listed.uncached_nano, token_list)
    values[f.UNPRICED] = np.where(~told & ~known, np.maximum(values[f.REQUESTS], 1), 0)


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def identity_of(sources: list[str], ids: list[str]) -> NDArray[np.uint64]:
    """64-bit hashes of (source, id), the same everywhere and for ever; one pass over columns of 8-byte words.

    Examples
    --------
    >>> one, two = identity_of(["a", "a"], ["x", "y"])
    >>> bool(one != two), bool(one == identity_of(["a"], ["x"])[0])
    (True, True)
    """
    if not ids:
        return np.zeros(0, np.uint64)
    names = _encoded(list(map("\x00".join, zip(sources, ids, strict=True))))
    width = -(-max(map(len, names)) // 8) * 8
    words = np.ascontiguousarray(np.array(names, f"S{width}").view(np.uint64).reshape(len(names), -1).T)
    place = np.arange(1, len(words) + 1, dtype=np.uint64) * _GOLDEN
    mixed = np.where(words == 0, np.uint64(0), _mix(words + place[:, None]))
    return _mix(mixed.sum(axis=0, dtype=np.uint64))


def _encoded(names: list[str]) -> list[bytes]:
    try:
        return list(map(str.encode, names))
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold
        return [name.encode(errors="surrogatepass") for name in names]


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return Steele, Lea and Flood's SplitMix64 finaliser."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
