"""What is summed of what a series did, in a minute and in every horizon."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TOTALS = (
    "requests", "errors", "input", "output", "paid", "list", "list_input", "list_uncached", "gpu_usd",
    "warm_input", "warm_uncached",
)  # fmt: skip
"""What is summed: counts, tokens, and dollars of tokens paid, by list, of input, of input without cache, of GPUs;
the last two are those of input again, but only of minutes in which a cache could hit: see
:mod:`detectors.minutes.active`."""
(N, ERR, INP, OUT, PAID, LIST, LIST_IN, LIST_RAW, GPU, WARM_IN, WARM_RAW) = range(len(TOTALS))
