"""What usage costs by the price list, in nano-dollars.

A price list may change at midnight, so a price belongs to a day. A model that nobody priced stays *unpriced*:
its cost is unknown, which is not zero.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.clock import MINUTES_PER_DAY
from detectors.events import MOST_USD

NANO = 1_000_000_000
_MOST_NANO = MOST_USD * NANO
_RATES_KEPT = 100_000


class Rates(msgspec.Struct, frozen=True):
    """List prices of one model: dollars per token, and per second of a GPU."""

    input_usd: float
    cached_input_usd: float
    cache_write_usd: float
    output_usd: float
    gpu_usd_per_second: float = 0.0


Lookup = Callable[[str, str, int], Rates | None]
"""(provider, model, day since the epoch) to its rates, or None if nobody priced it."""


class ListCost(msgspec.Struct, frozen=True):
    """Nano-dollars by the price list, an array element for each row.

    ``input_nano`` is what all input cost with its cache, ``uncached_nano`` what it would have cost without,
    ``total_nano`` input, output and GPU. ``known`` is False where nobody priced the model, ``too_dear`` is True where
    any of it would be more than one event may cost; there, the amounts say nothing.
    """

    total_nano: NDArray[np.int64]
    input_nano: NDArray[np.int64]
    uncached_nano: NDArray[np.int64]
    gpu_nano: NDArray[np.int64]
    known: NDArray[np.bool_]
    too_dear: NDArray[np.bool_]

    def of(self, rows: NDArray[np.intp]) -> ListCost:
        """Return the cost of some of the rows."""
        return ListCost(*(column[rows] for column in msgspec.structs.astuple(self)))


class PriceTable:
    """Rates by model and day, each looked up once.

    Parameters
    ----------
    lookup
        Tells the rates of a (provider, model, day), or None.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._seen: dict[tuple[str, str, int], Rates | None] = {}

    def rates(self, provider: str, model: str, day: int) -> Rates | None:
        """Rates of a model on a day since the epoch, or None if nobody priced it."""
        key = (provider, model, day)
        if key not in self._seen:
            if len(self._seen) >= _RATES_KEPT:
                self._seen.clear()
            self._seen[key] = self._lookup(*key)
        return self._seen[key]

    def list_cost(
        self, models: list[tuple[str, str]], which: NDArray[np.int32], minutes: NDArray[np.int32], counts: Counts
    ) -> ListCost:
        """Cost of many rows by the price list.

        Parameters
        ----------
        models
            The (provider, model) pairs that occur.
        which
            Index into ``models``, shape (rows,).
        minutes
            Event minute of each row, shape (rows,).
        counts
            Tokens and GPU milliseconds of each row.
        """
        distinct = {model: number for number, model in enumerate(dict.fromkeys(models))}
        model_of = np.fromiter(map(distinct.__getitem__, models), np.int64, len(models))
        count = max(len(distinct), 1)
        days = minutes.astype(np.int64) // MINUTES_PER_DAY
        pairs, place = np.unique(days * count + model_of[which], return_inverse=True)
        by_number = list(distinct)
        wanted = [(*by_number[pair % count], pair // count) for pair in pairs.tolist()]
        found = [self.rates(provider, model, day) for provider, model, day in wanted]
        nothing = Rates(0.0, 0.0, 0.0, 0.0)
        table = np.array([msgspec.structs.astuple(r or nothing) for r in found], dtype=float).reshape(-1, 5)
        known = np.array([r is not None for r in found], dtype=bool)[place]
        price = table[place].T * NANO
        fresh = counts.input_tokens - counts.cached_tokens - counts.cache_write_tokens
        paid_in = fresh * price[0] + counts.cached_tokens * price[1] + counts.cache_write_tokens * price[2]
        gpu = np.rint(counts.gpu_ms * price[4] / 1000)
        total = np.rint(paid_in) + np.rint(counts.output_tokens * price[3]) + gpu
        uncached = np.rint(counts.input_tokens * price[0])
        too_dear = ~((total <= _MOST_NANO) & (np.abs(paid_in) <= _MOST_NANO) & (uncached <= _MOST_NANO))
        if too_dear.any():  # beyond that, a float need not fit a whole number
            total, paid_in, uncached, gpu = (np.where(too_dear, 0.0, x) for x in (total, paid_in, uncached, gpu))
        as_int = [np.asarray(x, np.int64) for x in (total, np.rint(paid_in), uncached, gpu)]
        return ListCost(as_int[0], as_int[1], as_int[2], as_int[3], known, too_dear)


class Counts(msgspec.Struct, frozen=True):
    """Integer columns that a price list applies to, each of shape (rows,)."""

    input_tokens: NDArray[np.int64]
    cached_tokens: NDArray[np.int64]
    cache_write_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    gpu_ms: NDArray[np.int64]
