"""What a change in dollars is made of: exact, by driver.

Dollars of tokens are two products, input (requests x input a request x cache x price x unit price) and output
(requests x output a request x price x unit price), and GPU dollars stand beside them. Each product's change
is split by the logarithmic mean Divisia index (Ang, 2004, *Energy Policy* 32), which leaves no remainder; the
rounding to nano-dollars is given to the largest part, so that the parts sum to the change to the last one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.events import DRIVERS
from detectors.intake.prices import NANO
from detectors.minutes.totals import GPU, INP, LIST, LIST_IN, LIST_RAW, OUT, PAID, Floats, N

(REQUESTS, INPUT, OUTPUT, CACHE, MIX, UNIT, IDLE_GPU) = range(len(DRIVERS))
_MOST_NANO = 1e18
"""A thousand million dollars: nine of them fit 64 bits."""


def contributions(before: Floats, after: Floats) -> NDArray[np.int64]:
    """Split changes in dollars by driver.

    Parameters
    ----------
    before, after
        :data:`detectors.minutes.totals.TOTALS` over equal stretches of time, shape (rows, totals).

    Returns
    -------
    Nano-dollars by :data:`detectors.events.DRIVERS`, shape (rows, drivers); each row sums to exactly
    :func:`spend_nano` of ``after`` less that of ``before``.

    Examples
    --------
    >>> before = np.array([[10, 0, 1000, 100, 2.0, 2.0, 1.0, 1.0, 0.0]])
    >>> after = np.array([[10, 0, 2000, 100, 3.0, 3.0, 2.0, 2.0, 0.0]])
    >>> dict(zip(DRIVERS, contributions(before, after)[0].tolist()))["input_per_request"]
    1000000000
    """
    total = spend_nano(after) - spend_nano(before)
    parts = np.zeros((len(before), len(DRIVERS)))
    for factors in (_input_factors, _output_factors):
        _add_product(parts, factors(before), factors(after))
    parts[:, IDLE_GPU] += after[:, GPU] - before[:, GPU]
    nano = _nano(parts)
    largest = np.abs(nano).argmax(axis=1)
    nano[np.arange(len(nano)), largest] += total - nano.sum(axis=1)
    return nano


def spend_nano(totals: Floats) -> NDArray[np.int64]:
    """Nano-dollars of tokens and GPUs, shape (rows, totals) to (rows,)."""
    return _nano(totals[:, PAID] + totals[:, GPU])


def _nano(usd: Floats) -> NDArray[np.int64]:
    """Nano-dollars, held at so many that those of all drivers together fit 64 bits."""
    return np.rint(np.clip(usd * NANO, -_MOST_NANO, _MOST_NANO)).astype(np.int64)


def _input_factors(totals: Floats) -> tuple[list[tuple[int, Floats]], Floats]:
    """(driver, factor) of the input's product, and the product."""
    share = _ratio(totals[:, LIST_IN], totals[:, LIST])
    dollars = totals[:, PAID] * np.where(totals[:, LIST] > 0, share, 0.0)
    return [
        (REQUESTS, totals[:, N]),
        (INPUT, _ratio(totals[:, INP], totals[:, N])),
        (CACHE, _ratio(totals[:, LIST_IN], totals[:, LIST_RAW])),
        (MIX, _ratio(totals[:, LIST_RAW], totals[:, INP])),
        (UNIT, _ratio(totals[:, PAID], totals[:, LIST])),
    ], dollars


def _output_factors(totals: Floats) -> tuple[list[tuple[int, Floats]], Floats]:
    """(driver, factor) of the output's product, and the product; dollars without a list price belong here."""
    list_out = np.maximum(totals[:, LIST] - totals[:, LIST_IN], 0)
    dollars = totals[:, PAID] - _input_factors(totals)[1]
    return [
        (REQUESTS, totals[:, N]),
        (OUTPUT, _ratio(totals[:, OUT], totals[:, N])),
        (MIX, _ratio(list_out, totals[:, OUT])),
        (UNIT, _ratio(totals[:, PAID], totals[:, LIST])),
    ], dollars


def _add_product(
    parts: Floats, before: tuple[list[tuple[int, Floats]], Floats], after: tuple[list[tuple[int, Floats]], Floats]
) -> None:
    """Add a product's change to the parts; where a factor is unknown on either side, requests take it all."""
    change = after[1] - before[1]
    usable = (before[1] > 0) & (after[1] > 0)
    for (_, x0), (_, x1) in zip(before[0], after[0], strict=True):
        usable &= (x0 > 0) & (x1 > 0)
    mean = _logarithmic_mean(np.where(usable, before[1], 1.0), np.where(usable, after[1], 1.0))
    for (driver, x0), (_, x1) in zip(before[0], after[0], strict=True):
        parts[:, driver] += np.where(usable, mean * np.log(np.where(usable, x1, 1.0) / np.where(usable, x0, 1.0)), 0.0)
    parts[:, REQUESTS] += np.where(usable, 0.0, change)


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _logarithmic_mean(a: Floats, b: Floats) -> Floats:
    """(b - a) / ln(b / a), and a where they are equal."""
    log = np.log(b / a)
    near = np.abs(log) < 1e-9
    return np.where(near, (a + b) / 2, (b - a) / np.where(near, 1.0, log))
