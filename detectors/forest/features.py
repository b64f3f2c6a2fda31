"""The features of a series' minute that the isolation forest looks at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.baselines.baselines import CHANNELS, HORIZONS_MINUTES
from detectors.baselines.residuals import Residuals
from detectors.minutes.totals import ERR, N

_HORIZONS = (1, 3)
"""Five minutes and an hour: one fast, one calm."""

FEATURES = (
    *(f"step_{c}_{HORIZONS_MINUTES[h]}m" for h in _HORIZONS for c in CHANNELS[:-1]),
    *(f"above_{c}_{HORIZONS_MINUTES[h]}m" for h in _HORIZONS for c in CHANNELS),
    "error_share",
    "burst_2m_over_60m",
    "since_deployment",
    "age",
)
MOST = 6.0
"""Logarithms are cut here: an amplitude beyond is no odder."""


def features_of(residuals: Residuals, minutes_since_deployment: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return :data:`FEATURES` by row, (rows, features); each is cut to a range, so that no input poisons a tree."""
    parts = [residuals.step[:, h] for h in _HORIZONS] + [residuals.above[:, h] for h in _HORIZONS]
    requests, errors = residuals.sums[:, 1, N], residuals.sums[:, 1, ERR]
    rate = residuals.usd_per_minute
    single = [
        errors / np.maximum(requests, 1.0),
        np.log((rate[:, 0] + 0.002) / (rate[:, 3] + 0.002)),
        np.log1p(np.minimum(minutes_since_deployment, 10_000)) - 5,
        np.log1p(residuals.age_minutes) - 5,
    ]
    columns = np.concatenate([*parts, np.stack(single, axis=1)], axis=1)
    columns = np.clip(np.nan_to_num(columns, nan=0.0, posinf=MOST, neginf=-MOST), -MOST, MOST)
    return np.asarray(columns, np.float32)
