"""Usage as columns, and from a list of objects to them: the one place where usage is such a list."""

from __future__ import annotations

from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors import frame as f
from detectors.events import UsageEvent
from detectors.frame import Key, Labels
from detectors.intake.prices import NANO, Counts, ListCost, PriceTable

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
_SOURCE, _ID = attrgetter("source"), attrgetter("id")
_PROVIDER, _MODEL = f.DIMENSIONS.index("provider"), f.DIMENSIONS.index("model")


class UsageColumns(NamedTuple):
    """Usage events as they were sent; columns have shape (events,)."""

    message: NDArray[np.int32]
    """Number of the message that each is in."""
    item: NDArray[np.int32]
    """Its place in the message."""
    minute: NDArray[np.int32]
    """:data:`detectors.clock.NEVER` where the time is none."""
    values: NDArray[np.int64]
    """:data:`detectors.frame.MEASURES` by event, dollars still missing; (measures, events)."""
    paid_usd: NDArray[np.float64]
    """NaN where the source did not tell."""
    labels: Labels
    key: NDArray[np.int32]
    """Index into ``labels``."""
    identity: NDArray[np.uint64]
    """Hash of (source, id)."""

    def of(self, rows: NDArray[np.intp]) -> UsageColumns:
        """Return some of the events; labels that none of them has stay."""
        return UsageColumns(
            self.message[rows], self.item[rows], self.minute[rows], self.values[:, rows], self.paid_usd[rows],
            self.labels, self.key[rows], self.identity[rows],
        )  # fmt: skip


def columns_of(
    events: list[UsageEvent], message: NDArray[np.int32], item: NDArray[np.int32], minute: NDArray[np.int32]
) -> UsageColumns:
    """Columns of decoded events, whose places and minutes are known."""
    values = np.zeros((len(f.MEASURES), len(events)), np.int64)
    for place, count in _COUNTED.items():
        values[place] = np.fromiter(map(count, events), np.int64, len(events))
    values[f.GPU_MS] = gpu_ms_of(np.fromiter(map(_GPU_SECONDS, events), float, len(events)))
    paid_usd = np.array(list(map(_COST_USD, events)), float)
    identity = identity_of(list(map(_SOURCE, events)), list(map(_ID, events)))
    return UsageColumns(message, item, minute, values, paid_usd, *_numbered(list(map(_KEY, events))), identity)


def gpu_ms_of(gpu_seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole milliseconds."""
    return np.rint(gpu_seconds * 1000).astype(np.int64)


def put_together(one: UsageColumns, other: UsageColumns) -> UsageColumns:
    """All events of both, in the order of their messages."""
    joined = UsageColumns(
        np.concatenate([one.message, other.message]),
        np.concatenate([one.item, other.item]),
        np.concatenate([one.minute, other.minute]),
        np.concatenate([one.values, other.values], axis=1),
        np.concatenate([one.paid_usd, other.paid_usd]),
        one.labels.and_of(other.labels),
        np.concatenate([one.key, other.key + np.int32(len(one.labels))]),
        np.concatenate([one.identity, other.identity]),
    )
    return joined.of(np.lexsort((joined.item, joined.message)))


def _numbered(keys: list[Key]) -> tuple[Labels, NDArray[np.int32]]:
    """Distinct labels, and each one's place among them."""
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return Labels.of_keys(list(places)), np.fromiter(map(places.__getitem__, keys), np.int32, len(keys))


def list_cost_of(rows: UsageColumns, prices: PriceTable) -> ListCost:
    """What events cost by the price list; those whose time is none, by that of the first day."""
    tokens = Counts(*rows.values[[f.INPUT, f.CACHED, f.CACHE_WRITE, f.OUTPUT, f.GPU_MS]])
    names, codes = rows.labels.names, rows.labels.codes
    models = [names[code] for code in codes[:, _MODEL].tolist()]
    providers = [names[code] for code in codes[:, _PROVIDER].tolist()]
    minutes = np.maximum(rows.minute, np.int32(0))
    return prices.list_cost(list(zip(providers, models, strict=True)), rows.key, minutes, tokens)


def add_dollars(values: NDArray[np.int64], paid_usd: NDArray[np.float64], listed: ListCost) -> None:
    """Fill in what was paid, what the list asks, and what nobody priced.

    What a source told is believed; what it did not is priced from the list; what neither knows is unpriced: its
    requests are counted and its cost is not taken for zero.
    """
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
